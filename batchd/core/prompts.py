"""Records -> one request line: the task's templates rendered, everything else prepared once.

Names in a template, where a request has one record: its columns as far as they are identifiers,
every column as `record["any name"]`, and `id` and `row`, which give way to columns of that name.
Where it has several: `records`, each with its columns, `.row` (which gives way likewise) and
`.id`, which never does: answers are told apart by it.

The same task and record give the same bytes: after a crash they are rendered again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from batchd.core.limits import canonical
from batchd.core.problems import Problem
from batchd.core.records import Record
from batchd.core.schemas import grouped
from batchd.core.tasks import CHAT, EMBEDDINGS, MODERATIONS, RESPONSES, Task, merged
from batchd.core.templates import BadRecord, Fields, Text, listed, nearest

#: What the last text of a request for several records ends with; the ids follow as a JSON array.
ASKS_FOR_ALL = '\n\nAnswer with one entry per record, under the record\'s id, in "records".\nids: '
_ADDRESSES = ("https://", "http://", "data:image/")
_json = msgspec.json.Encoder().encode

#: The rendered system text and the user's content, both as JSON, -> what goes into the body.
Compose = Callable[[bytes, bytes], bytes]


def beginning_of(row: int) -> bytes:
    """How the line of a request begins whose first record is this row."""
    return b'{"custom_id":"%d",' % row


class Renderer:
    """Renders the requests of one task."""

    def __init__(self, task: Task) -> None:
        """Raises `jinja2.TemplateSyntaxError`, for a task that `spool/recipes.py` has not seen."""
        kind = canonical(task.endpoint)
        self._task = task
        self._prompt = Text(task.prompt, key="prompt")
        self._system = Text(task.system, key="system") if task.system.strip() else None
        self._is_input = kind in (EMBEDDINGS, MODERATIONS)
        self._parts = _PARTS.get(kind, _CHAT_PARTS)
        self._compose = _COMPOSE[kind]
        self._head = b'"method":"POST","url":%b,"body":{"model":%b,' % (
            _json(task.endpoint),
            _json(task.model),
        )
        self._tail = _members(_constants(task, kind)) + b"}}"

    def request(self, records: Sequence[Record], *, ids: Sequence[str]) -> bytes:
        """Return the request line of these records, without a line break.

        `ids`: their ids, in the same order. The custom_id is the number of the first one's row.
        Raises `BadRecord`.
        """
        if self._is_input:
            system, content = b"", self._texts(records, ids)
        elif self._task.is_grouped:
            system, content = self._together(records, ids)
        else:
            system, content = self._alone(records[0], ids[0])
        body = self._compose(system, content)
        return b"".join((beginning_of(records[0].row), self._head, body, self._tail))

    def _alone(self, record: Record, id_: str) -> tuple[bytes, bytes]:
        text = self._of_one(self._prompt, record, id_)
        system = self._of_one(self._system, record, id_) if self._system else ""
        if self._task.images is None:
            return _text(system), _text(text)
        return _text(system), _encoded([self._parts.text(text), *self._pictures(record)])

    def _together(self, records: Sequence[Record], ids: Sequence[str]) -> tuple[bytes, bytes]:
        views = [_named(record, id_) for record, id_ in zip(records, ids, strict=True)]
        names, first = {"records": views}, records[0]
        text = self._rendered(self._prompt, names, first, columns=views[0])
        system = self._rendered(self._system, names, first, columns=views[0])
        text += ASKS_FOR_ALL + _json(ids).decode()
        if self._task.images is None:
            return _text(system), _text(text)
        parts = [part for pair in zip(records, ids, strict=True) for part in self._shown(*pair)]
        return _text(system), _encoded([*parts, self._parts.text(text)])

    def _texts(self, records: Sequence[Record], ids: Sequence[str]) -> bytes:
        """What is embedded or moderated: a text, or a list of them; to be shown images, parts."""
        texts = [
            self._of_one(self._prompt, record, id_)
            for record, id_ in zip(records, ids, strict=True)
        ]
        if self._task.images is not None:
            return _encoded([self._parts.text(texts[0]), *self._pictures(records[0])])
        if not self._task.is_grouped:
            return _text(texts[0])
        for record, text in zip(records, texts, strict=True):
            if not text:
                raise BadRecord(_empty(record.row))
        return _encoded(texts)

    def _of_one(self, text: Text, record: Record, id_: str) -> str:
        known = text.of_texts(record.fields)
        return self._rendered(text, _names(record, id_), record) if known is None else known

    def _rendered(
        self,
        text: Text | None,
        names: Mapping[str, Any],
        record: Record,
        columns: Iterable[str] | None = None,
    ) -> str:
        if text is None or text.constant is not None:
            return "" if text is None else text.constant or ""
        return text.render(names, row=record.row, columns=columns or record.fields)

    def _shown(self, record: Record, id_: str) -> Iterable[dict[str, Any]]:
        """In a group each image says whose it is."""
        return (self._parts.text(f"Image of record {id_}:"), *self._pictures(record))

    def _pictures(self, record: Record) -> list[dict[str, Any]]:
        images = self._task.images
        assert images is not None
        found = [self._parts.image(a, images.detail) for a in addresses(record, images.columns)]
        if not found:
            raise BadRecord(_no_image(record.row, images.columns))
        return found


def addresses(record: Record, columns: Iterable[str]) -> Iterable[str]:
    """Yield the addresses of a record's images. An empty one is none; a list may hold several."""
    for column in columns:
        if column not in record.fields:
            raise BadRecord(_no_column(record, column))
        value = record.fields[column]
        for address in value if isinstance(value, list) else (value,):
            if address in (None, ""):
                continue
            if not isinstance(address, str) or not address.strip().startswith(_ADDRESSES):
                raise BadRecord(_no_address(record.row, column, address))
            yield address.strip()


def _names(record: Record, id_: str) -> dict[str, Any]:
    fields = Fields(record.fields)
    return {"id": id_, "row": record.row, **fields, "record": fields}


def _named(record: Record, id_: str) -> Fields:
    return Fields({"id": id_, "row": record.row, **record.fields, "id": id_})  # noqa: F601


class _Parts:
    """How an endpoint writes the parts of a message."""

    def text(self, text: str) -> dict[str, Any]:
        return {"type": "text", "text": text}

    def image(self, address: str, detail: str) -> dict[str, Any]:
        shown = {"url": address} | ({} if detail == "auto" else {"detail": detail})
        return {"type": "image_url", "image_url": shown}


class _ResponsesParts(_Parts):
    def text(self, text: str) -> dict[str, Any]:
        return {"type": "input_text", "text": text}

    def image(self, address: str, detail: str) -> dict[str, Any]:
        return {"type": "input_image", "image_url": address, "detail": detail}


class _ModerationParts(_Parts):
    def image(self, address: str, detail: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": address}}  # it knows no detail


_CHAT_PARTS = _Parts()
_PARTS = {RESPONSES: _ResponsesParts(), MODERATIONS: _ModerationParts()}


def _chat(system: bytes, content: bytes) -> bytes:
    user = b'{"role":"user","content":%b}]' % content
    if system == b'""':
        return b'"messages":[' + user
    return b'"messages":[{"role":"system","content":%b},%b' % (system, user)


def _responses(system: bytes, content: bytes) -> bytes:
    told = b'"instructions":%b,' % system if system != b'""' else b""
    if content.startswith(b"["):
        content = b'[{"role":"user","content":%b}]' % content
    return told + b'"input":' + content


def _input(_system: bytes, content: bytes) -> bytes:
    return b'"input":' + content


_COMPOSE: Mapping[str, Compose] = {
    CHAT: _chat,
    RESPONSES: _responses,
    EMBEDDINGS: _input,
    MODERATIONS: _input,
}


def _constants(task: Task, kind: str) -> dict[str, Any]:
    """What every request of the task has: the schema, and the parameters, which win."""
    schema = task.output.schema
    asked: dict[str, Any] = {}
    if task.is_grouped and kind in (CHAT, RESPONSES):
        schema = grouped(schema)
    if schema is not None and kind == CHAT:
        strict = {"name": task.output.name, "strict": True, "schema": schema}
        asked = {"response_format": {"type": "json_schema", "json_schema": strict}}
    elif schema is not None and kind == RESPONSES:
        strict = {"type": "json_schema", "name": task.output.name, "strict": True, "schema": schema}
        asked = {"text": {"format": strict}}
    return merged(asked, task.parameters)


def _members(constants: Mapping[str, Any]) -> bytes:
    """As they stand in a body behind its other members."""
    return b"".join(b",%b:%b" % (_json(name), _json(value)) for name, value in constants.items())


def _text(text: str) -> bytes:
    try:
        return _json(text)
    except UnicodeEncodeError:
        return _json(_whole(text))


def _encoded(value: list[Any]) -> bytes:
    try:
        return _json(value)
    except UnicodeEncodeError:
        return _json(_mended(value))


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    return {name: _mended(one) for name, one in value.items()} if isinstance(value, dict) else value


def _whole(text: str) -> str:
    """Put U+FFFD for half a letter: JSON in UTF-8 has no way to say it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _no_column(record: Record, column: str) -> Problem:
    columns = tuple(record.fields)
    return Problem(
        "unknown_column",
        f'[images] columns: there is no column "{column}"; there is {listed(columns, meant=column)}',
        column_remedy(column, columns),
        row=record.row,
        param=column,
    )


def column_remedy(column: str, columns: Sequence[str]) -> str:
    """What to write for a column that a task names outside of its prompt."""
    meant = nearest(column, columns)
    return f'Did you mean "{meant}"?' if meant else "Name a column that the table has."


def _no_address(row: int, column: str, address: object) -> Problem:
    return Problem(
        "invalid_image",
        f'column "{column}" holds no address of an image: {listed([str(address)[:80]])}',
        "Put an address there that the provider can fetch: https://..., or data:image/png;base64,"
        " and the image itself. It can't fetch files of this machine.",
        row=row,
        param=column,
    )


def _no_image(row: int, columns: Sequence[str]) -> Problem:
    return Problem(
        "invalid_image",
        f"no image: {listed(columns)} is empty",
        "Fill in the address of an image, or take the row out.",
        row=row,
        param=columns[0] if columns else None,
    )


def _empty(row: int) -> Problem:
    return Problem(
        "empty_input",
        "the text is empty; the provider refuses it, and with it all records of its request",
        "Take the row out, or set records_per_request = 1 in the task.",
        row=row,
        param="prompt",
    )
