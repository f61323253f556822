"""How soon a stage looks again when it is rung all the time.

Whatever ends rings the bells of all who may have something to do: once for each of ten thousand
files, and a look asks the ledger several things. So while a crew has enough to do, or had nothing to
do a moment ago, the next look waits a little, and one look does for many bells. One file alone is
looked at as soon as its bell rings.
"""

from __future__ import annotations

from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock
from batchd.runtime.loop import Crew

BUSY_SECONDS = 0.25  #: between two looks while everybody has work: what ends is replaced anyway
IDLE_SECONDS = 0.05  #: after a look that found nothing to do: less than anybody notices
_SHARE = 19  #: a look that finds nothing, again and again, takes no more than 5 % of the time
_LONGEST = 1.0  #: seconds, however long a look takes


class Pace:
    """Of one stage's looks."""

    def __init__(self, crew: Crew, bell: Bell, clock: Clock) -> None:
        self._crew = crew
        self._bell = bell
        self._clock = clock
        self._until = 0.0  #: monotonic
        self._found_something = False

    def note(self, started: int, *, took: float) -> None:
        """Note what a look that has just ended found to do, and how long it took."""
        self._found_something = started > 0
        least = BUSY_SECONDS if started else IDLE_SECONDS
        self._until = self._clock.monotonic() + max(least, min(_SHARE * took, _LONGEST))

    async def wait(self) -> None:
        """Wait until it is time to look again. The bell is heard meanwhile: a look follows."""
        while self._is_early() and (seconds := self._until - self._clock.monotonic()) > 0:
            await self._bell.wait(seconds)

    def _is_early(self) -> bool:
        return self._crew.has_enough or not self._found_something
