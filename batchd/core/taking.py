"""An answer taken apart: checked against the task's schema, and each record given its own.

Pure, and after a crash done again: the same answer gives the same verdicts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jsonschema_rs
import msgspec
from msgspec import Raw
from msgspec.structs import replace

from batchd.core.answers import Answer, Soft
from batchd.core.limits import canonical
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, Task
from batchd.core.verdicts import INVALID_CODE, MISSING_RECORD_CODE

_LONGEST_REASON = 200  # characters: an answer's own words are in the reason
_LONGEST_RAW = 100_000  # characters kept of a text that is no answer: some never end
_FENCE = "```"
_LIST = re.compile(r'\s*\{\s*"records"\s*:\s*\[\s*')
_BETWEEN = re.compile(r"[\s,]*")
_scan = json.JSONDecoder().raw_decode

#: What a request asked for: each record's row and id, in order.
Asked = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one answer is to each record of its request."""

    answers: list[tuple[int, Answer]]  #: row and answer, one for each record, in order
    oddities: Mapping[str, int] = field(default_factory=dict)  #: worth a word, and no failure


@dataclass(frozen=True, slots=True)
class Group:
    """An answer for several records, read once, whoever of them is asked about."""

    answer: Answer  #: what each record has of it: all but its usage, which is the request's
    entries: Mapping[str, Sequence[Raw]]  #: by id, in order
    why: str = "the answer has no entry for this record"  #: what is told a record without one
    useless: Answer | None = None  #: what every record gets, where there is nothing to take apart
    oddities: Counter[str] = field(default_factory=Counter)


class _Group(msgspec.Struct):
    """What an answer for several records is; of other members nothing is wanted."""

    records: list[Raw]


class _Entry(msgspec.Struct):
    """One of them."""

    id: str | int
    answer: Raw = Raw()


_decode_group = msgspec.json.Decoder(_Group).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode = msgspec.json.Decoder().decode


class Taker:
    """Takes the answers of one task."""

    def __init__(self, task: Task) -> None:
        kind = canonical(task.endpoint)
        self._is_vector = kind == EMBEDDINGS
        self._is_list = kind in (EMBEDDINGS, MODERATIONS)
        self._is_grouped = task.is_grouped
        schema = None if self._is_list else task.output.schema
        self._check = None if schema is None else _checker(schema)

    def take(self, answer: Answer, asked: Asked) -> Taken:
        """Return an answer for each record that was asked for, good or not."""
        if answer.code is not None:
            return _alike(answer, asked)
        if self._is_list:
            return self._from_list(answer, asked)
        if self._is_grouped:
            return self._from_group(answer, asked)
        if self._check is None:
            return _alike(answer, asked)
        oddities = Counter[str]()
        checked = self._checked(answer, oddities)
        return _alike(checked, asked, +oddities)

    def take_one(self, group: Group, id_: str) -> Answer:
        """Return a record's own of an answer for several: the first of its entries that fits."""
        if group.useless is not None:
            return replace(group.useless, custom_id=id_)
        entries = group.entries.get(id_.strip(), ())
        if not entries:
            return _missing(group.answer, id_, group.why)
        found = [self._entry(group.answer, entries[0])]
        if found[0].code is not None:
            found += (self._entry(group.answer, raw) for raw in entries[1:])
        good = next((one for one in found if one.code is None), found[0])
        return replace(good, custom_id=id_)

    def _checked(self, answer: Answer, oddities: Counter[str]) -> Answer:
        try:
            raw = _json_of(answer, oddities)
            return replace(answer, output=self._fitting(raw))
        except _NotAsAskedError as error:
            return _invalid(answer, str(error))

    def _from_list(self, answer: Answer, asked: Asked) -> Taken:
        """Vectors and moderations come in the order of the texts; without all, none is sure."""
        is_one = self._is_vector and len(asked) == 1  # core/answers.py takes it out of its list
        found = [answer.output] if is_one else _elements(answer.output)
        if len(found) != len(asked):
            why = f"{len(asked)} texts were sent, and {len(found)} answers came: whose is whose?"
            return Taken([(row, _missing(answer, id_, why)) for row, id_ in asked])
        one = _shared(answer, asked)
        pairs = zip(asked, found, strict=True)
        return Taken([(row, replace(one, custom_id=id_, output=out)) for (row, id_), out in pairs])

    def _from_group(self, answer: Answer, asked: Asked) -> Taken:
        group, known = opened(answer), {id_.strip() for _, id_ in asked}
        oddities = group.oddities.copy()
        for id_, entries in group.entries.items():
            if id_ in known:
                oddities["repeated_ids"] += len(entries) - 1
            else:
                oddities["invented_ids"] += len(entries)
        answers = [(row, self.take_one(group, id_)) for row, id_ in asked]
        if len(asked) == 1:
            answers = [(row, replace(one, usage=answer.usage)) for row, one in answers]
        return Taken(answers, +oddities)

    def _entry(self, answer: Answer, raw: Raw) -> Answer:
        try:
            content = _decode_entry(raw).answer
            if self._check is not None:
                return replace(answer, output=self._fitting(content))
            return replace(answer, output=_decode_text(content))
        except msgspec.MsgspecError:
            why = 'the entry has no "answer"' if self._check else 'its "answer" is not a text'
        except _NotAsAskedError as error:
            why = str(error)
        return _invalid(replace(answer, output=raw), why)

    def _fitting(self, raw: Raw) -> Raw:
        """Return the JSON of an answer, as it stands, where it fits the schema."""
        assert self._check is not None
        value = _decode(raw)
        try:
            fits = self._check.is_valid(value)
            why = "" if fits else _misfit(self._check, value)
        except (
            ValueError
        ) as error:  # nested more than 255 levels deep, which the library won't read
            raise _NotAsAskedError(f"it cannot be checked: {_short(str(error))}") from error
        if not fits:
            raise _NotAsAskedError(why)
        return raw


class _NotAsAskedError(ValueError):
    """The text of an answer is not what was asked for; the message says how."""


def _checker(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Compile a schema. Dates and their kin are checked: strict mode promises them."""
    return jsonschema_rs.validator_for(schema, validate_formats=True, retriever=_never)


def _never(address: str) -> NoReturn:
    """A schema is complete in itself (core/schemas.py); nobody is asked for the rest of it."""
    raise ValueError(f"{address} is not part of the schema")


def _misfit(check: jsonschema_rs.Validator, value: Any) -> str:
    """Say where and why a value does not fit its schema: the first thing that is wrong."""
    error = next(iter(check.iter_errors(value)))
    path = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in error.instance_path)
    where = f"{path.lstrip('.')}: " if path else ""
    return _short(f"it does not fit the schema: {where}{error.message}")


def _json_of(answer: Answer, oddities: Counter[str]) -> Raw:
    """Return the JSON that an answer's text is, on one line: it becomes part of one."""
    output, why = answer.output, "it is empty"
    if not isinstance(output, str):
        raise _NotAsAskedError("the answer is no text" if output else why)
    for number, inside in enumerate(_inside(output)):
        try:
            raw = Raw(msgspec.json.format(inside, indent=-1))
            _decode(raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            why = str(error).removeprefix("JSON is malformed: ")
        else:
            oddities["fenced_json"] += number
            return raw
    raise _NotAsAskedError(_why_cut(answer, _short(why)))


def opened(answer: Answer) -> Group:
    """Find the entries of an answer for several records; what is no entry is nobody's."""
    one, oddities = replace(answer, usage=None), Counter[str]()
    if answer.code is not None:
        return Group(one, {}, useless=one)
    try:
        return Group(one, _by_id(_entries(_json_of(answer, oddities))), oddities=oddities)
    except _NotAsAskedError as error:
        if whole := _by_id(_before_the_cut(answer)):
            return Group(one, whole, why=_CUT_BEFORE)
        return Group(one, {}, useless=_invalid(one, str(error)))


def _entries(raw: Raw) -> list[Raw]:
    try:
        return _decode_group(raw).records
    except msgspec.ValidationError as error:
        raise _NotAsAskedError('the answer is no object with a list "records"') from error


def _by_id(entries: Iterable[Raw]) -> dict[str, list[Raw]]:
    found: dict[str, list[Raw]] = {}
    for one in entries:
        if (id_ := _id_of(one)) is not None:
            found.setdefault(id_, []).append(one)
    return found


_CUT_BEFORE = (
    "the answer was cut off at its token limit before it came to this record; allow more output"
    " tokens in the task's [parameters], or fewer records per request"
)


def _before_the_cut(answer: Answer) -> list[Raw]:
    """Return the entries that came whole before an answer was cut off: they are paid for."""
    text = answer.output
    if answer.soft is not Soft.TRUNCATED or not isinstance(text, str):
        return []
    begins = _LIST.match(text)
    at, whole = begins.end() if begins else len(text), list[Raw]()
    while at < len(text):
        try:
            _, end = _scan(text, at)
            whole.append(Raw(msgspec.json.format(text[at:end].encode(), indent=-1)))
        except (ValueError, RecursionError):  # half an entry, or half a letter of one
            break
        at = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    return whole


def _id_of(raw: Raw) -> str | None:
    try:
        return str(_decode_entry(raw).id).strip()
    except msgspec.ValidationError:
        return None


def _inside(text: str) -> Iterator[bytes]:
    """Yield what may be the JSON: all of it, or what stands between fences, as some models like."""
    yield text.encode(errors="replace").strip()
    stripped = text.strip()
    if stripped.startswith(_FENCE) and stripped.endswith(_FENCE) and len(stripped) > 6:
        yield stripped[3:-3].partition("\n")[2].encode(errors="replace").strip()


def _why_cut(answer: Answer, why: str) -> str:
    if answer.soft is Soft.TRUNCATED:
        return (
            "the answer was cut off at its token limit, so that its JSON has no end; allow more"
            " output tokens in the task's [parameters], or fewer records per request"
        )
    return f"the answer is not JSON: {why}"


def _elements(output: Any) -> list[Any]:
    if isinstance(output, list):
        return output
    try:
        return list(_decode_list(output))
    except (msgspec.MsgspecError, TypeError):
        return []


def _alike(answer: Answer, asked: Asked, oddities: Mapping[str, int] | None = None) -> Taken:
    """The same for each of the records, under its own id."""
    one = _shared(answer, asked)
    answers = [(row, replace(one, custom_id=id_)) for row, id_ in asked]
    return Taken(answers, oddities or {})


def _shared(answer: Answer, asked: Asked) -> Answer:
    """What each record has of an answer for several: all but its usage, which is the request's."""
    return answer if len(asked) == 1 else replace(answer, usage=None)


def _invalid(answer: Answer, why: str) -> Answer:
    return replace(answer, output=None, code=INVALID_CODE, message=why, raw=_as_text(answer.output))


def _missing(answer: Answer, id_: str, why: str) -> Answer:
    return replace(
        answer, custom_id=id_, output=None, code=MISSING_RECORD_CODE, message=why, raw=None
    )


def _as_text(output: Any) -> str | None:
    if output is None:
        return None
    text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
    return text[:_LONGEST_RAW]


def _short(why: str) -> str:
    return why if len(why) <= _LONGEST_REASON else f"{why[: _LONGEST_REASON - 1]}…"
