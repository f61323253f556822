"""What `batchd task ... --json` says, as types. They only ever grow."""

from __future__ import annotations

from typing import Any

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything that a command says of tasks."""


class KnownTask(Shape, frozen=True):
    """A task file. Of one that is broken there are only its name and its problems."""

    name: str
    description: str
    endpoint: str | None
    model: str | None
    records_per_request: int | None
    problems: list[str]  #: file, line, what is wrong and what to do, each


class TaskList(Shape, frozen=True):
    """`batchd task list --json`."""

    schema: int
    folder: str
    tasks: list[KnownTask]


class TriedError(Shape, frozen=True):
    """Why a row has no answer."""

    code: str
    message: str


class TriedRow(Shape, frozen=True):
    """What came of one row."""

    row: int
    id: str
    ok: bool
    values: dict[str, Any] | None  #: by column
    error: TriedError | None
    raw: str | None  #: the text that came, where it was none that was asked for


class TriedCost(Shape, frozen=True):
    """What was paid, directly; and what a batch would have cost. Null is unknown, never 0."""

    amount: float
    as_batch: float | None
    currency: str


class TaskTry(Shape, frozen=True):
    """`batchd task try --json`."""

    schema: int
    task: str
    file: str
    rows: list[TriedRow]
    requests: int
    input_tokens: int
    output_tokens: int
    cost: TriedCost | None
