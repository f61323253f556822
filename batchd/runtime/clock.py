"""The time: the wall clock at start plus time that only goes forward."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """What batchd knows of time. The tests' own moves only when told to."""

    def now(self) -> float:
        """Seconds since the epoch, for whatever is stored or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start, for how long something has lasted."""
        ...

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        """Wait for the event, but no longer than `seconds`."""
        ...


class SystemClock:
    """The machine's. A wall clock set forward or back while we run changes nothing."""

    def __init__(self) -> None:
        # BOOTTIME goes on in suspend: a batch of an hour is an hour old after a nap, too.
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._offset = time.time() - self.monotonic()

    def now(self) -> float:
        """See `Clock.now`."""
        return self._offset + self.monotonic()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.clock_gettime(self._source)

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        """See `Clock.wait`."""
        with anyio.move_on_after(seconds):
            await event.wait()
