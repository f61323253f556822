"""A few rows of a table through a task, asked for directly: rendered and judged as the daemon does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from batchd.core.answers import Answer, read_answer
from batchd.core.columns import Columns
from batchd.core.prompts import Renderer
from batchd.core.records import Layout, Record
from batchd.core.taking import Taker
from batchd.core.tasks import Task
from batchd.meters.prices import Prices
from batchd.remote.direct import Direct
from batchd.rounds.table import Table
from batchd.settings import Settings

SCHEMA = 1


@dataclass
class Cost:
    """What it took. Sums are US dollars; None where one price is not known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    direct: float | None = 0.0
    batch: float | None = 0.0

    def add(self, answer: Answer, prices: Prices, *, asked: str) -> None:
        """Count one answer; one that failed takes nothing that anybody tells of."""
        self.requests += 1
        if answer.usage is None:
            return
        self.input_tokens += answer.usage.input_tokens
        self.output_tokens += answer.usage.output_tokens
        charge = prices.charge(answer.model, answer.usage, asked=asked)
        self.direct = _sum(self.direct, charge.direct)
        self.batch = _sum(self.batch, charge.batch)

    def as_dict(self) -> dict[str, Any] | None:
        """As --json has it; null is unknown, never 0."""
        if self.direct is None:
            return None
        batch = None if self.batch is None else round(self.batch, 10)
        return {"amount": round(self.direct, 10), "as_batch": batch, "currency": "USD"}


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True)
class Row:
    """What came of one record."""

    row: int
    id: str
    values: dict[str, Any]  #: by column, as they would stand beside the row
    error: dict[str, str] | None  #: code and message; None for a good one
    raw: str | None  #: the text that came, where it was none that was asked for

    def as_dict(self) -> dict[str, Any]:
        """As --json has it."""
        return {
            "row": self.row,
            "id": self.id,
            "ok": self.error is None,
            "values": self.values if self.error is None else None,
            "error": self.error,
            "raw": self.raw,
        }


@dataclass
class Trial:
    """Requests that are rendered, and what asking for them has cost so far."""

    task: Task
    settings: Settings
    layout: Layout
    chunks: Sequence[Sequence[tuple[Record, str]]]  #: the records of each request, and their ids
    lines: Sequence[bytes]
    cost: Cost = field(default_factory=Cost)

    @classmethod
    def of(cls, file: Path, task: Task, settings: Settings, *, rows: int) -> Trial:
        """Read and render the first rows. Raises `BadTable`, `BadRecord`, `FileNotFoundError`."""
        table = Table(file, task, pause=lambda: None)
        named = [(record, table.id_of(record)) for record in islice(table.records(), rows)]
        size, renderer = task.records_per_request, Renderer(task)
        chunks = [named[at : at + size] for at in range(0, len(named), size)]
        lines = [
            renderer.request([record for record, _ in chunk], ids=[id_ for _, id_ in chunk])
            for chunk in chunks
        ]
        return cls(task, settings, table.layout, chunks, lines)

    def ask(self, *, base_url: str | None, api_key: str) -> Iterator[Row]:
        """Ask for one request after the other; each row as it comes. Raises `RemoteError`."""
        taker, columns = Taker(self.task), Columns(self.task, self.layout)
        prices = Prices(self.settings.prices)
        truncated_fails = self.settings.retries.on_truncated == "fail"
        with asyncio.Runner() as runner:
            direct = Direct(self.settings.openai, base_url=base_url, api_key=api_key)
            try:
                for chunk, line in zip(self.chunks, self.lines, strict=True):
                    said = runner.run(direct.answer(line))
                    answer = read_answer(said, self.task.endpoint, truncated_fails=truncated_fails)
                    self.cost.add(answer, prices, asked=self.task.model)
                    asked = [(record.row, id_) for record, id_ in chunk]
                    taken = taker.take(answer, asked).answers
                    for (record, id_), (_, one) in zip(chunk, taken, strict=True):
                        yield _row(record, id_, one, columns)
            finally:
                runner.run(direct.close())


def _row(record: Record, id_: str, answer: Answer, columns: Columns) -> Row:
    values = msgspec.to_builtins(columns.values(answer, tuple(record.fields)))
    values.popitem()  # the last one says why there is no answer
    if not values and answer.code is None:
        values = {"answer": _plain(answer.output)}  # a vector has no column in a CSV
    error = None
    if answer.code is not None:
        error = {"code": answer.code, "message": answer.message or ""}
    return Row(record.row, id_, values, error, answer.raw)


def _plain(output: Any) -> Any:
    return msgspec.json.decode(output) if isinstance(output, msgspec.Raw) else output
