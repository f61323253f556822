"""Tells of each job that has ended, once, after it has: the ledger says of which nobody knows yet.

Told first and noted then: a crash in between tells it again, and none is forgotten.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup

from batchd.core.events import JobTold
from batchd.core.subjects import Job
from batchd.notices.notice import Kind, of_job
from batchd.notices.sending import Sender, wanted
from batchd.runtime.bell import Bell
from batchd.runtime.services import Services

SECONDS_BETWEEN = 2.0  #: two looks at whether something was recorded
MOST_AT_ONCE = 4  #: commands, or posts: they may hang, each for itself


async def tell_of_jobs(services: Services, sender: Sender) -> None:
    """Tell until cancelled; what is under way then is killed, and told again at the next start."""
    async with anyio.create_task_group() as tasks:
        telling, changes = Telling(services, sender, tasks), -1
        while True:
            if services.ledger.changes != changes or telling.has_ended:
                changes = services.ledger.changes
                try:
                    await telling.look()
                except (OSError, sqlite3.Error):
                    changes = -1  # a ledger in trouble is told elsewhere, and louder
            await telling.bell.wait(SECONDS_BETWEEN)


class Telling:
    """The notices under way."""

    def __init__(self, services: Services, sender: Sender, tasks: TaskGroup) -> None:
        self.bell = Bell(services.clock)
        self.has_ended = False  #: one of them, since the last look
        self._services = services
        self._sender = sender
        self._tasks = tasks
        self._busy: set[str] = set()
        self._told: dict[str, str] = {}  #: given, and not yet noted: the disk was full, say

    async def look(self) -> None:
        """Begin with whatever ended, as far as there is room."""
        self.has_ended = False
        ledger, now = self._services.ledger, self._services.clock.now()
        jobs = await ledger.jobs_to_tell(most=MOST_AT_ONCE + len(self._busy))
        for kind in {_kind(job) for job in jobs}:
            if not wanted(self._services.settings.notify, kind):
                await ledger.tell_nobody(rejected=kind is Kind.REJECT, at=now)
                self.has_ended = True  # there may be others behind them
                jobs = [job for job in jobs if _kind(job) is not kind]
        for job in jobs:
            if job.id not in self._busy and len(self._busy) < MOST_AT_ONCE:
                self._busy.add(job.id)
                self._tasks.start_soon(self._tell, job)

    async def _tell(self, job: Job) -> None:
        try:
            if job.id not in self._told:
                notice = of_job(
                    job, folders=self._services.folders, root=self._services.ledger.root
                )
                self._told[job.id] = (await self._sender.send(notice)).text
            with suppress(OSError, sqlite3.Error):
                event = JobTold(job=job.id, text=self._told[job.id])
                await self._services.ledger.wish(event, at=self._services.clock.now())
                del self._told[job.id]
                self.bell.ring()  # not after a failure: a full disk would be asked without end
        finally:
            self._busy.discard(job.id)
            self.has_ended = True


def _kind(job: Job) -> Kind:
    return Kind.REJECT if job.outcome == "rejected" else Kind.COMPLETE
