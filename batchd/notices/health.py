"""Whether the house is well: every stage's loop turns, and the ledger answers."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from batchd.runtime.pulse import (
    LEDGER,
    LEDGER_SECONDS,
    LOOP_SECONDS,
    SECONDS_BETWEEN,
    Asking,
    Pulse,
)
from batchd.runtime.services import Services


class Health:
    """Looks again and again, as the pulse does for the service manager, with or without one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking = Asking(services.ledger, services.clock, SECONDS_BETWEEN)
        limits = dict.fromkeys(services.crews, LOOP_SECONDS)
        self._pulse = Pulse({**limits, LEDGER: LEDGER_SECONDS + SECONDS_BETWEEN})
        self.hanging: Mapping[str, float] = {}  #: who has not moved for how many seconds

    @property
    def can_read(self) -> bool:
        """Whether the ledger could be read at the last try."""
        return self._asking.said is not None

    async def keep(self) -> None:
        """Look until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._asking.keep)
            while True:
                beats = {**self._services.heartbeat, LEDGER: self._asking.answered}
                self.hanging = self._pulse.look(beats, SECONDS_BETWEEN)
                await self._services.clock.wait(anyio.Event(), SECONDS_BETWEEN)
