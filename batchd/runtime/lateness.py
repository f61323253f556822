"""How late the event loop is: whatever blocks it keeps signals, polls and everybody waiting.

Seen where the loop asks the kernel what has happened: between two such questions it is busy, and
nobody else gets a turn; and where it is given an answer later than it had asked for, somebody else
kept the interpreter, or the machine was busy. No look of its own has to wake the processor for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import structlog

log = structlog.get_logger()

TOO_LATE = 0.2  #: seconds; nothing of ours may hold the loop for longer
#: Seconds that the loop sleeps at the most. A thread that keeps the interpreter meanwhile is noticed
#: when the sleep is over, and seen to be shorter than it was by as much at the most.
LOOSE, CLOSE = 1.0, 0.01
_TOLD_EVERY = 60.0


class Lateness:
    """The worst of a minute, and whatever was too late."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._worst = 0.0
        self._looks = 0

    def note(self, late: float, now: float) -> None:
        """Note how late the loop was once."""
        self._worst = max(self._worst, late)
        self._looks += 1
        if late > TOO_LATE:
            log.warning("loop.late", seconds=round(late, 3))
        if now - self._since >= _TOLD_EVERY:
            log.debug("loop.lateness", worst_seconds=round(self._worst, 4), looks=self._looks)
            self._since, self._worst, self._looks = now, 0.0, 0


async def mind_lateness(*, closely: bool) -> None:
    """Look until cancelled, by the machine's own time: a clock that tests move is never late."""
    lateness = Lateness(time.monotonic())  # not BOOTTIME: in suspend nobody is late
    with _timed(asyncio.get_running_loop(), lateness.note):
        while True:  # noqa: ASYNC110  # there is no event: it is to wake the loop
            await anyio.sleep(CLOSE if closely else LOOSE)


@contextmanager
def _timed(loop: asyncio.AbstractEventLoop, note: Callable[[float, float], None]) -> Iterator[None]:
    # Naughty: asyncio has no word for this. Its selector is the same in all Pythons from 3.4 on.
    selector: Any = loop._selector  # type: ignore[attr-defined]
    ask, answered = selector.select, time.monotonic()

    def select(timeout: float | None = None) -> Any:
        nonlocal answered
        asked = time.monotonic()
        note(asked - answered, asked)
        events = ask(timeout)
        answered = time.monotonic()
        if timeout and not events:
            note(answered - asked - timeout, answered)
        return events

    selector.select = select
    try:
        yield
    finally:
        del selector.select
