"""A machine's time in a test: what passes, what its wall clock says, and when it was booted."""

from __future__ import annotations

import anyio

from tests.fakes.clock import FakeClock

YEAR = 365.25 * 86_400


class SetClock:
    """A clock that somebody has set; the time that passes is `true`'s, and the provider's."""

    def __init__(self, true: FakeClock, *, off: float = 0.0, booted: float = 0.0) -> None:
        self._true = true
        self._off = off
        self._booted = booted  #: when, by the true time

    def now(self) -> float:
        return self._true.now() + self._off

    def monotonic(self) -> float:
        return self._true.now() - self._booted

    @property
    def boot(self) -> str:
        return f"boot at {self._booted}"

    def advance(self, seconds: float) -> None:
        self._true.advance(seconds)

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        await self._true.wait(event, seconds)
