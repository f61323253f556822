"""Heavy work in small turns: calls are answered between two of them, however large a batch is.

Turns on the event loop, not a thread: a busy thread holds the interpreter for 5 ms whenever the
loop wants it back, which makes a large upload beside it many times slower than turns do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator

TURN_SECONDS = 0.004
AT_ONCE = 16  # batches worked on side by side; each holds up to four files open


class Turns:
    """One turn at a time, whoever works; those who wait get theirs in order."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._crowd = asyncio.Semaphore(AT_ONCE)

    async def work(self, steps: Iterable[object]) -> None:
        """Exhaust `steps`, whose every item stands for a little work done."""
        remaining = iter(steps)
        async with self._crowd:
            while await self._one(remaining):
                pass

    async def _one(self, steps: Iterator[object]) -> bool:
        async with self._turn:
            is_more = _advance(steps)
            # Inside, or all who work would have their turns before the calls have theirs.
            await asyncio.sleep(0)
        return is_more


def _advance(steps: Iterator[object]) -> bool:
    """Work until the turn is over. False when nothing is left."""
    ends_at = time.perf_counter() + TURN_SECONDS
    return any(time.perf_counter() >= ends_at for _ in steps)
