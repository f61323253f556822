"""A wake-up without content. It may be lost; rows may not."""

from __future__ import annotations

import anyio

from batchd.runtime.clock import Clock


class Bell:
    """Wakes one loop. Rung while nobody waits, it is heard at the next wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or the next one who would."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait to be rung, but no longer than `seconds`; return whether it was."""
        await self._clock.wait(self._event, seconds)
        if not self._event.is_set():
            return False
        self._event = anyio.Event()
        return True
