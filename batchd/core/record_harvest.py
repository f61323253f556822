"""Matches a batch's answers to records: one request may carry several, each with its own verdict."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any

from batchd.core.answers import Answer
from batchd.core.chunks import Chunks, custom_id_of
from batchd.core.harvest import Harvest, Spot
from batchd.core.taking import Taker
from batchd.core.usage import UNKNOWN

IdOf = Callable[[int], str]  #: the id of a record, by its row


class RecordHarvest(Harvest):
    """Takes the lines of a task's shard. Rows are records; what a line took is counted once."""

    def __init__(self, chunks: Chunks, id_of: IdOf, taker: Taker, **terms: Any) -> None:
        super().__init__({}, **terms)
        self._chunks = chunks
        self._id_of = id_of
        self._taker = taker

    @classmethod
    def to_find(cls, chunks: Chunks, id_of: IdOf, taker: Taker, *, endpoint: str) -> RecordHarvest:
        """Make one that only finds out where answers lie; what they meant is recorded already."""
        return cls(
            chunks,
            id_of,
            taker,
            endpoint=endpoint,
            attempts_before=array("H", bytes(2 * (chunks.rows.ranges[-1][1] + 1))),
            max_attempts=1,
            price=lambda model, usage: UNKNOWN,
        )

    def missing(self) -> Iterator[tuple[str, int]]:
        """Yield the requests that nothing has answered yet: custom_id and first row."""
        for chunk in self._chunks:
            if not self._places[chunk[0]]:
                yield custom_id_of(chunk), chunk[0]

    def _bring(self, answer: Answer, spot: Spot, *, executed: bool) -> None:
        rows = self._chunks.of(answer.custom_id)
        if rows is None:
            self._oddities["unknown_ids"] += 1
            return
        taken = self._taker.take(answer, [(row, self._id_of(row)) for row in rows])
        if taken.oddities:
            self._oddities.update(taken.oddities)
        if not self._places[rows[0]]:
            for row, one in taken.answers:
                self._settle(row, one, spot, executed=executed)
            self._spend(answer)
            return
        self._oddities["repeated_ids"] += 1
        better = [row for row, one in taken.answers if self._betters(row, one, spot)]
        if better:
            self._spend(answer)
