"""What somebody must look at: each told once, until it has been over for a while.

A restart is no end of anything: what was told before it and is still wrong is not told again, or a
service that starts again and again would wake somebody each time. It is over once a daemon has run
for a while without seeing it; then it is told anew when it comes back.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import anyio

from batchd.control.jobs import Room, reason_of_job
from batchd.control.ledger import Part
from batchd.control.portions import portions, room_now
from batchd.core.reasons import ReasonCode, Standing
from batchd.core.subjects import Job
from batchd.notices.health import Health
from batchd.notices.memory import Memory, Told
from batchd.notices.notice import Kind, Notice, of_problem
from batchd.notices.sending import Sender, wanted
from batchd.runtime.services import Services

SECONDS_BETWEEN = 10.0  #: two looks
CALM = 300.0  #: seconds: what comes and goes more quickly is one problem
HANGING = "hanging"
UNREADABLE = "ledger-unreadable"
_Telling = tuple[Notice, Sequence[Told]]  #: a notice, and what it tells of
#: Seconds that it must last: a key that was refused once may be a mishap, a disk may be locked.
_PATIENCE = {ReasonCode.DENIED: 60.0, UNREADABLE: 60.0}
_QUEUE = 100  #: notices that wait for their turn; more of them would tell nobody more


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong now."""

    code: str
    text: str
    job: str = ""

    @property
    def key(self) -> Told:
        """What it is remembered by: its words may change."""
        return Told(str(self.code), self.job)


class Watch:
    """Which problems are new: they have lasted, and were not told yet.

    `told` is what was told before the start. How long nobody ran is not counted: what was wrong
    then is still wrong, as far as anybody knows.
    """

    def __init__(self, told: Iterable[Told] = (), *, now: float = 0.0) -> None:
        self._told = set(told)
        self._since = dict.fromkeys(self._told, now)
        self._last = dict.fromkeys(self._told, now)

    @property
    def told(self) -> AbstractSet[Told]:
        """What was told and is not over."""
        return self._told

    def new(self, seen: Iterable[Problem], now: float) -> dict[str, list[Problem]]:
        """Return what is to be told now, by code."""
        fresh: dict[str, list[Problem]] = defaultdict(list)
        for problem in seen:
            key = problem.key
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
    give, take = anyio.create_memory_object_stream[_Telling](_QUEUE)
    memory = Memory(services.folders.var)
    async with give, take, anyio.create_task_group() as tasks:

        async def tell() -> None:
            async for notice, of in take:
                # Noted when it was given: a crash in between tells it again, and never forgets it.
                if (await sender.send(notice)).is_given:
                    await memory.note(of)

        tasks.start_soon(tell)
        watch = Watch(await memory.recall(), now=services.clock.monotonic())
        while True:
            if wanted(services.settings.notify, Kind.PROBLEM):
                for told in await _fresh(watch, services, health):
                    if give.statistics().current_buffer_used < _QUEUE:
                        give.send_nowait(told)
                await memory.forget_all_but(watch.told)
            await services.clock.wait(anyio.Event(), SECONDS_BETWEEN)


async def _fresh(watch: Watch, services: Services, health: Health) -> list[_Telling]:
    seen = [*_of_the_house(services, health), *await _of_jobs(services, health)]
    fresh = watch.new(seen, services.clock.monotonic())
    now, root = services.clock.now(), services.ledger.root
    return [
        (
            of_problem(code, some[0].text, jobs=[p.job for p in some if p.job], at=now, root=root),
            [problem.key for problem in some],
        )
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
