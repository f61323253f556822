"""What somebody must look at: each told once, until it has been over for a while.

Kept in memory: after a restart what is still wrong is told again, which is what a person who has
just started it wants to know.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from batchd.control.jobs import Room, reason_of_job
from batchd.control.ledger import Part
from batchd.control.portions import portions, room_now
from batchd.core.reasons import ReasonCode, Standing
from batchd.core.subjects import Job
from batchd.notices.health import Health
from batchd.notices.notice import Kind, Notice, of_problem
from batchd.notices.sending import Sender, wanted
from batchd.runtime.services import Services

SECONDS_BETWEEN = 10.0  #: two looks
CALM = 300.0  #: seconds: what comes and goes more quickly is one problem
HANGING = "hanging"
UNREADABLE = "ledger-unreadable"
#: Seconds that it must last: a key that was refused once may be a mishap, a disk may be locked.
_PATIENCE = {ReasonCode.DENIED: 60.0, UNREADABLE: 60.0}
_QUEUE = 100  #: notices that wait for their turn; more of them would tell nobody more


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong now."""

    code: str
    text: str
    job: str = ""


class Watch:
    """Which problems are new: they have lasted, and were not told yet."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._told: set[tuple[str, str]] = set()

    def new(self, seen: Iterable[Problem], now: float) -> dict[str, list[Problem]]:
        """Return what is to be told now, by code."""
        fresh: dict[str, list[Problem]] = defaultdict(list)
        for problem in seen:
            key = (problem.code, problem.job)
            since = self._since.setdefault(key, now)
            self._last[key] = now
            if key not in self._told and now - since >= _PATIENCE.get(problem.code, 0.0):
                self._told.add(key)
                fresh[problem.code].append(problem)
        for key in [key for key, last in self._last.items() if now - last >= CALM]:
            del self._since[key], self._last[key]
            self._told.discard(key)
        return fresh


async def tell_of_problems(services: Services, sender: Sender, health: Health) -> None:
    """Watch and tell until cancelled."""
    give, take = anyio.create_memory_object_stream[Notice](_QUEUE)
    async with give, take, anyio.create_task_group() as tasks:

        async def tell() -> None:
            async for notice in take:
                await sender.send(notice)

        tasks.start_soon(tell)
        watch = Watch()
        while True:
            if wanted(services.settings.notify, Kind.PROBLEM):
                for notice in await _notices(watch, services, health):
                    if give.statistics().current_buffer_used < _QUEUE:
                        give.send_nowait(notice)
            await services.clock.wait(anyio.Event(), SECONDS_BETWEEN)


async def _notices(watch: Watch, services: Services, health: Health) -> list[Notice]:
    seen = [*_of_the_house(services, health), *await _of_jobs(services, health)]
    fresh = watch.new(seen, services.clock.monotonic())
    now, root = services.clock.now(), services.ledger.root
    return [
        of_problem(code, some[0].text, jobs=[p.job for p in some if p.job], at=now, root=root)
        for code, some in fresh.items()
    ]


def _of_the_house(services: Services, health: Health) -> Iterable[Problem]:
    if services.rest.is_on:
        yield Problem(ReasonCode.DENIED, services.rest.reason or "")
    if services.intake.reason is ReasonCode.DISK_LOW:
        yield Problem(ReasonCode.DISK_LOW, services.intake.text)
    if health.hanging:
        names = ", ".join(health.hanging)
        yield Problem(HANGING, f"not moving: {names}; batchd status, and var/log/batchd.jsonl")
    elif not health.can_read:
        yield Problem(UNREADABLE, "the ledger can't be read; var/log/batchd.jsonl says why")


async def _of_jobs(services: Services, health: Health) -> Sequence[Problem]:
    """Jobs that wait for a person, but for those that a person holds: they know."""
    if health.hanging or not health.can_read:
        return ()  # asking would hang as well
    found = list[Problem]()
    try:
        room = await room_now(services)
        async for jobs, live in portions(services):
            found += _held(jobs, live, room, services.clock.now())
    except (OSError, sqlite3.Error):
        return ()
    return found


def _held(jobs: Iterable[Job], live: Iterable[Part], room: Room, now: float) -> Iterable[Problem]:
    parts: dict[str, list[Part]] = defaultdict(list)
    for part in live:
        parts[part.shard.job].append(part)
    for job in jobs:
        reason = reason_of_job(job, parts[job.id], room=room, now=now)
        if reason.standing is Standing.HELD and reason.code is not ReasonCode.HELD:
            yield Problem(reason.code, reason.sentence, job.id)
