"""The time: the wall clock at start plus time that only goes forward."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import anyio

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE = Path("/proc/self/ns/time")


class Clock(Protocol):
    """What batchd knows of time. The tests' own moves only when told to."""

    def now(self) -> float:
        """Seconds since the epoch, for whatever is stored or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start, for how long something has lasted."""
        ...

    @property
    def boot(self) -> str:
        """What `monotonic` counts from: two of the same can be compared, also after a restart."""
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

    @property
    def boot(self) -> str:
        """See `Clock.boot`. Empty where nobody says; then a boot looks like a clock set forward."""
        try:
            # A time namespace (a container's) counts from where it likes.
            return f"{_BOOT_ID.read_text().strip()} {_TIME_NAMESPACE.readlink()}"
        except OSError:
            return ""

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        """See `Clock.wait`."""
        with anyio.move_on_after(seconds):
            await event.wait()
