"""What is said of tasks, as types: the answers of the socket, and of `batchd task ... --json`."""

from __future__ import annotations

from typing import Any

from batchd.control.messages import SCHEMA, Refusal, Shape
from batchd.core.tasks import Task


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
    source: str  #: who says so: the daemon, or the command itself where none can be asked


class Recipe(Shape, frozen=True):
    """One task, resolved; or what is wrong with it."""

    name: str
    folder: str
    task: Task | None = None
    problems: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def trouble(self) -> str:
        """What is wrong with it, where there is room for one thing."""
        more = len(self.problems) - 1
        return "".join(self.problems[:1]) + (f" (and {more} more)" if more > 0 else "")


class Draft(Shape, frozen=True):
    """The text of a new task, and the file that it is meant for. Nothing was written."""

    name: str
    file: str
    text: str
    schema: int = SCHEMA


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


class TriedSum(Shape, frozen=True):
    """What all rows together took."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: TriedCost | None


class Tried(Shape, frozen=True):
    """One line of a trial: a row, or at its end the sum or a no."""

    row: TriedRow | None = None
    sum: TriedSum | None = None
    refusal: Refusal | None = None


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
    source: str  #: who asked: the daemon, with its key; or the command itself
