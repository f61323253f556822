"""What every stage is given: the ledger, the folders, the provider, the clock, the bells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from batchd.core.contents import Count
from batchd.core.findings import Finding
from batchd.core.reasons import ReasonCode
from batchd.meters.prices import Prices
from batchd.remote.api import Asking, Remote
from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock
from batchd.runtime.garbage import Collector
from batchd.runtime.loop import Crew, Rest
from batchd.runtime.turns import Turns
from batchd.settings import Provenance, Settings
from batchd.spool.bulletin import ReloadSays
from batchd.spool.folders import Folders
from batchd.spool.inbox import Settling
from batchd.spool.outbox import Outbox
from batchd.spool.recipes import Recipes
from batchd.spool.work import Work
from batchd.store.ledger import Ledger

log = structlog.get_logger()

#: Reads the settings again, and says what came of it (`runtime/reloading.py`).
Reload = Callable[[], Awaitable[ReloadSays]]


class Checks(Protocol):
    """One look at the configuration as it stands now, by the daemon (`configuration/checks.py`)."""

    def all(self, *, is_offline: bool) -> Iterator[Finding]:
        """Find everything, stage by stage; what builds on what is wrong is left out."""
        ...


class Intake:
    """Whether files are being taken, and why not."""

    def __init__(self) -> None:
        self.reason: ReasonCode | None = None  #: None while files are taken
        self.text = ""

    def stop(self, reason: ReasonCode, text: str) -> None:
        """Take no more for now; said once, not at every look."""
        if reason != self.reason:
            log.warning("intake.stopped", reason=reason, text=text)
        self.reason, self.text = reason, text

    def go_on(self) -> None:
        """Take files again."""
        if self.reason is not None:
            log.info("intake.resumed", after=self.reason)
        self.reason, self.text = None, ""


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
    count_tokens: Count | None  #: None where input tokens are estimated by bytes
    settling: Settling
    recipes: Recipes  #: the task files, as they are now
    rest: Rest
    tasks: TaskGroup  #: where things in flight live
    crews: dict[str, Crew]
    bells: dict[str, Bell]
    provenance: Provenance = field(
        default_factory=Provenance
    )  #: of the settings, as they were read
    reload: Reload | None = None  #: reads the settings again; None while there is nothing to reload
    checks: Callable[[], Checks] | None = None  #: None where there is no configuration to look at
    direct: Callable[[], Asking] | None = None  #: asks the models at once, with the daemon's key
    scan_only: str | None = None  #: why the inbox can't be watched (a network file system)
    collector: Collector = field(default_factory=Collector)
    intake: Intake = field(default_factory=Intake)
    judging: anyio.Lock = field(default_factory=anyio.Lock)  #: of a shard's answers
    regaining: Turns = field(default_factory=Turns)  #: of a job's input, somebody having removed it
    listed: set[str] = field(default_factory=set)  #: job folders that the ledger has, as it said
    broken_told: dict[str, str] = field(default_factory=dict)  #: tasks, and what is wrong with each
    waiting_for_task: dict[str, str] = field(default_factory=dict)  #: claimed jobs, and for what
    stuck_told: dict[str, float] = field(default_factory=dict)  #: when, by batch
    heartbeat: dict[str, float] = field(default_factory=dict)  #: monotonic, by stage
    next_times: dict[str, float] = field(default_factory=dict)  #: monotonic, of what is done rarely

    def is_time(self, what: str, *, every: float, first: float) -> bool:
        """Whether it is time for what is done every so many seconds; the first time after `first`."""
        now = self.clock.monotonic()
        due = self.next_times.setdefault(what, now + first)
        if now < due:
            return False
        self.next_times[what] = now + every
        return True

    def beat(self, stage: str) -> None:
        """Note that a stage's loop goes on: at each turn, and in a long one now and then."""
        self.heartbeat[stage] = self.clock.monotonic()

    def start(
        self,
        stage: str,
        key: str,
        work: Callable[..., Awaitable[None]],
        *args: Any,
        light: bool = False,
    ) -> bool:
        """Start one thing of a stage in the background, if it is free and there is room."""
        return self.crews[stage].start(self.tasks, key, work, *args, light=light)
