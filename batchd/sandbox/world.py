"""Everything a running sandbox holds."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from batchd.sandbox.answer_faults import AnswerFaults
from batchd.sandbox.batches import Batch, Book
from batchd.sandbox.dialects import DIALECTS
from batchd.sandbox.faults import Faults, changed
from batchd.sandbox.files import Shelf
from batchd.sandbox.options import Options
from batchd.sandbox.request_faults import RequestFaults
from batchd.sandbox.turns import Turns
from batchd.sandbox.webhooks import Bell


class World:
    """Objects in memory, files in a folder, and the switches for what is to go wrong."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.dialect = DIALECTS[options.dialect]
        self.shelf = Shelf(folder, speed=options.expiry_speed)
        self.book = Book()
        self.turns = Turns()
        self.bell = Bell(options)
        self.faults = changed(Faults(), dict(options.faults))
        self.request_faults = RequestFaults(self.faults.request_faults)
        self.answer_faults = AnswerFaults(self.faults.answer_faults)
        self.calls: Counter[str] = Counter()
        self.idempotency_keys: list[str] = []
        self.peak_tokens: dict[str, int] = {}
        self.closing = asyncio.Event()
        self.lives: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    def scratch(self) -> Path:
        """A place for something that is still being written."""
        return self.folder / f".{next(self._numbers)}.part"

    def change_faults(self, changes: dict[str, Any]) -> None:
        self.faults = changed(self.faults, changes)
        if "request_faults" in changes:
            self.request_faults = RequestFaults(self.faults.request_faults)
        if "answer_faults" in changes:
            self.answer_faults = AnswerFaults(self.faults.answer_faults)

    def clear_faults(self) -> None:
        self.faults = Faults()
        self.request_faults = RequestFaults([])
        self.answer_faults = AnswerFaults([])

    async def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the sandbox lives."""
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    def enqueued(self, model: str, *, besides: Batch | None = None) -> int:
        """Estimated input tokens of the model's batches that are on their way."""
        return sum(
            b.tokens for b in self.book if b.model == model and not b.is_over and b is not besides
        )

    def note_peak(self, batch: Batch) -> None:
        if batch.model is not None:
            peak = self.peak_tokens.get(batch.model, 0)
            self.peak_tokens[batch.model] = max(peak, self.enqueued(batch.model))
