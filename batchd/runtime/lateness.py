"""How late the event loop is: whatever blocks it keeps signals, polls and everybody waiting."""

from __future__ import annotations

import time

import anyio
import structlog

log = structlog.get_logger()

TOO_LATE = 0.2  #: seconds; nothing of ours may hold the loop for longer
#: Seconds between two looks. A block is seen to be shorter than it was by as much at the most; and
#: each look wakes a processor that has nothing else to do.
LOOSE, CLOSE = 0.25, 0.01
_TOLD_EVERY = 60.0


class Lateness:
    """The worst of a minute, and whatever was too late."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._worst = 0.0
        self._looks = 0

    def note(self, late: float, now: float) -> None:
        """Note how late one look came."""
        self._worst = max(self._worst, late)
        self._looks += 1
        if late > TOO_LATE:
            log.warning("loop.late", seconds=round(late, 3))
        if now - self._since >= _TOLD_EVERY:
            log.debug("loop.lateness", worst_seconds=round(self._worst, 4), looks=self._looks)
            self._since, self._worst, self._looks = now, 0.0, 0


async def mind_lateness(*, closely: bool) -> None:
    """Look until cancelled, by the machine's own time: a clock that tests move is never late."""
    pause = CLOSE if closely else LOOSE
    last = time.monotonic()  # not BOOTTIME: in suspend nobody is late
    lateness = Lateness(last)
    while True:
        await anyio.sleep(pause)
        woken = time.monotonic()
        lateness.note(woken - last - pause, woken)
        last = woken
