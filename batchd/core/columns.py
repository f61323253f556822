"""What an answer adds to its row: the names of the new columns, and what stands in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from batchd.core.answers import Answer
from batchd.core.limits import canonical
from batchd.core.records import Layout
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, Task

ERROR = "batchd_error"
_TAKEN = "answer"  #: what a name gets before it where the sender's table has a column of that name
_WITH_LISTS = ("json", "jsonl", "parquet")  #: kinds that a vector has a place in


class Columns:
    """The columns that a task adds to a table: the schema's fields, in its order, or the text;
    last `batchd_error`, which is empty for good rows."""

    def __init__(self, task: Task, layout: Layout) -> None:
        self._kind = canonical(task.endpoint)
        self._has_schema = task.output.schema is not None
        self._wanted = (*_wanted(task, self._kind, layout.format), ERROR)
        self._is_free = not layout.columns  #: each object has names of its own
        self.added: tuple[str, ...] = _beside(self._wanted, layout.columns)

    def values(self, answer: Answer, fields: Collection[str] = ()) -> dict[str, Any]:
        """Return what stands in the added columns of a row: texts, numbers, lists, objects, None.

        `fields`: the names in the sender's object; where a table has its columns they don't matter.
        """
        names = _beside(self._wanted, fields) if self._is_free and fields else self.added
        is_empty = answer.code is not None or len(names) == 1
        found: Mapping[str, Any] = {} if is_empty else self._of(answer.output)
        values = {name: found.get(wanted) for name, wanted in zip(names, self._wanted, strict=True)}
        if answer.code is not None:
            values[names[-1]] = error_text(answer)
        return values

    def _of(self, output: Any) -> Mapping[str, Any]:
        value = msgspec.json.decode(output) if isinstance(output, Raw) else output
        if self._kind == MODERATIONS:
            return _moderation(value)
        if self._has_schema and self._kind != EMBEDDINGS:
            return value if isinstance(value, dict) else {}
        return {self._wanted[0]: value}


def added_columns(task: Task, layout: Layout) -> tuple[str, ...]:
    """Return the names of the columns that the task's answers take in such a table."""
    return Columns(task, layout).added


def error_text(answer: Answer) -> str:
    """Why a row has no answer, on one line."""
    return f"{answer.code}: {' '.join((answer.message or '').split())}".removesuffix(": ")


def _wanted(task: Task, kind: str, format_: str) -> Iterable[str]:
    if kind == EMBEDDINGS:
        return ("embedding",) if format_ in _WITH_LISTS else ()
    if kind == MODERATIONS:
        return ("flagged", "categories")
    if task.output.schema is None:
        return (task.output.column,)
    return tuple(task.output.schema.get("properties", {}))


def _beside(wanted: Iterable[str], taken: Iterable[str]) -> tuple[str, ...]:
    """Names of their own for new columns: `title`, `answer_title`, `answer_2_title`."""
    known, names = set(taken), []
    for name in wanted:
        free, number = name, 1
        while free in known:
            prefix = _TAKEN if number == 1 else f"{_TAKEN}_{number}"
            free, number = f"{prefix}_{name}", number + 1
        known.add(free)
        names.append(free)
    return tuple(names)


def _moderation(value: Any) -> Mapping[str, Any]:
    """Whether it was flagged, and for what: the categories that are true, as a text."""
    if not isinstance(value, dict):
        return {}
    categories = value.get("categories")
    named = categories.items() if isinstance(categories, dict) else ()
    true = ", ".join(name for name, is_so in named if is_so is True)
    return {"flagged": value.get("flagged"), "categories": true}
