"""What every stage is given: the ledger, the folders, the provider, the clock, the bells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from anyio.abc import TaskGroup

from batchd.meters.prices import Prices
from batchd.remote.api import Remote
from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock
from batchd.runtime.loop import Crew, Rest
from batchd.settings import Settings
from batchd.spool.folders import Folders
from batchd.spool.inbox import Settling
from batchd.spool.outbox import Outbox
from batchd.spool.work import Work
from batchd.store.ledger import Ledger


@dataclass(slots=True)
class Services:
    """One root's house, put together by `daemon.py` (and by the tests)."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    folders: Folders
    work: Work
    outbox: Outbox
    remote: Remote
    prices: Prices
    settling: Settling
    rest: Rest
    tasks: TaskGroup  #: where things in flight live
    crews: dict[str, Crew]
    bells: dict[str, Bell]
    heartbeat: dict[str, float] = field(default_factory=dict)  #: monotonic, by stage

    def start(self, stage: str, key: str, work: Callable[..., Awaitable[None]], *args: Any) -> bool:
        """Start one thing of a stage in the background, if it is free and there is room."""
        return self.crews[stage].start(self.tasks, key, work, *args)
