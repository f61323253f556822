"""A few rows of a table through a task, asked for directly: rendered and judged as the daemon does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import msgspec

from batchd.control.task_shapes import TriedCost, TriedError, TriedRow, TriedSum
from batchd.core.answers import Answer, read_answer
from batchd.core.columns import Columns
from batchd.core.prompts import Renderer
from batchd.core.records import Layout, Record
from batchd.core.taking import Taker
from batchd.core.tasks import Task
from batchd.core.usage import Charge, ModelUsage
from batchd.meters.estimates import together
from batchd.meters.prices import Prices
from batchd.remote.api import Asking
from batchd.rounds.table import Table
from batchd.settings import Settings

CURRENCY = "USD"


class Paid(NamedTuple):
    """What one answer took, of which model."""

    model: str
    usage: ModelUsage  #: as the bill has it: without a batch, the direct price is the price
    charge: Charge


#: Told of each answer that was paid for, before anybody sees it.
Pays = Callable[[Paid], Awaitable[None]]


@dataclass(frozen=True)
class Trial:
    """Requests that are rendered."""

    task: Task
    settings: Settings
    layout: Layout
    chunks: Sequence[Sequence[tuple[Record, str]]]  #: the records of each request, and their ids
    lines: Sequence[bytes]

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

    async def ask(
        self, direct: Asking, prices: Prices, pays: Pays
    ) -> AsyncGenerator[TriedRow, None]:
        """Ask for one request after the other; each row as it comes. Raises `RemoteError`."""
        taker, columns = Taker(self.task), Columns(self.task, self.layout)
        for chunk, line in zip(self.chunks, self.lines, strict=True):
            await anyio.lowlevel.checkpoint()  # nobody waits any more? Then no more is asked
            # Whoever goes away meanwhile pays all the same: what was sent is heard out and counted.
            with anyio.CancelScope(shield=True):
                answer = self._read(await direct.answer(line))
                if (paid := _paid(answer, prices, asked=self.task.model)) is not None:
                    await pays(paid)
            for row in self._taken(chunk, answer, taker, columns):
                yield row

    def _read(self, said: bytes) -> Answer:
        truncated_fails = self.settings.retries.on_truncated == "fail"
        return read_answer(said, self.task.endpoint, truncated_fails=truncated_fails)

    def _taken(
        self, chunk: Sequence[tuple[Record, str]], answer: Answer, taker: Taker, columns: Columns
    ) -> Iterator[TriedRow]:
        asked = [(record.row, id_) for record, id_ in chunk]
        taken = taker.take(answer, asked).answers
        for (record, id_), (_, one) in zip(chunk, taken, strict=True):
            yield _row(record, id_, one, columns)


def _paid(answer: Answer, prices: Prices, *, asked: str) -> Paid | None:
    """Return what an answer took; one that failed takes nothing that anybody tells of."""
    if answer.usage is None:
        return None
    charge = prices.charge(answer.model, answer.usage, asked=asked)
    usage = ModelUsage(answer.usage, 1, charge.direct, charge.direct)
    return Paid(answer.model or asked, usage, charge)


def sum_of(paid: Sequence[Paid], *, requests: int) -> TriedSum:
    """Add up what a trial took."""
    cost = together(one.charge for one in paid)
    return TriedSum(
        requests=requests,
        input_tokens=sum(one.usage.usage.input_tokens for one in paid),
        output_tokens=sum(one.usage.usage.output_tokens for one in paid),
        cost=_cost(cost),
    )


def _cost(cost: Charge) -> TriedCost | None:
    if cost.direct is None:
        return None
    batch = None if cost.batch is None else round(cost.batch, 10)
    return TriedCost(amount=round(cost.direct, 10), as_batch=batch, currency=CURRENCY)


def _row(record: Record, id_: str, answer: Answer, columns: Columns) -> TriedRow:
    values = msgspec.to_builtins(columns.values(answer, tuple(record.fields)))
    values.popitem()  # the last one says why there is no answer
    if not values and answer.code is None:
        values = {"answer": _plain(answer.output)}  # a vector has no column in a CSV
    error = None
    if answer.code is not None:
        error = TriedError(code=answer.code, message=answer.message or "")
    return TriedRow(
        row=record.row,
        id=id_,
        ok=error is None,
        values=values if error is None else None,
        error=error,
        raw=answer.raw,
    )


def _plain(output: Any) -> Any:
    return msgspec.json.decode(output) if isinstance(output, msgspec.Raw) else output
