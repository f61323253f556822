"""A life in which anything may be said, go wrong or end at any moment; and what must be true after it.

Everything is drawn from one seed: what is dropped, what people say and when, what the provider
does wrong, where the house is killed. In the end nobody holds, pauses or denies anything any more.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.lowlevel

from batchd.core.errors import RemoteUnavailable
from batchd.core.model import Batch, BatchError, BatchOrder, Pause
from batchd.core.reasons import ReasonCode
from batchd.core.verdicts import NO_ROOM_CODE
from batchd.runtime import wishes
from batchd.runtime.services import Services
from batchd.stages import STAGES
from tests.control.asking import ask, look_at
from tests.crash import wild_tables
from tests.crash.tripwire import TRIPWIRE, Killed, TrippedLedger, TrippedRemote
from tests.dropped_tables import drop_table
from tests.fakes.clock import FakeClock
from tests.fakes.remote import Made, Phase, Request, answer_for
from tests.houses import drop, open_services, request, settings, turn, write_task

_TURNS = 150  #: of a life with people and weather in it
_CALM = 800  #: turns in which all must have come to its end once nothing disturbs
_HOUR, _DAY = 3600.0, 86_400.0
_LOSABLE = ("upload", "create_batch", "cancel_batch", "list_batches", "retrieve_batch")
_LOSABLE += ("download", "delete_file", "list_files")


@dataclass
class Dropped:
    """A file that was dropped: its name, and the ids in it; None where it is no good."""

    name: str
    sha256: str
    ids: tuple[str, ...] | None
    task: str = ""


class WildRemote(TrippedRemote):
    """It notes who paid for what, and lets a person speak while a call is on its way."""

    def __init__(self, clock: FakeClock, chance: random.Random) -> None:
        super().__init__(clock)
        self.chance = chance
        self.answers = self._answer_to
        self.answered: defaultdict[str, Counter[str]] = defaultdict(Counter)  #: ids, by job
        self.charged = 0  #: requests with an answer, whatever that was good for
        self.person: Any = None
        self.is_paused = False  #: since before this turn, and nobody has said otherwise in it
        self.unwanted: set[str] = set()  #: jobs held or cancelled, likewise
        self.sent_in_spite: list[str] = []

    async def effect(self, name: str, phase: Phase) -> None:
        if name == "upload" and phase == "before" and self.is_paused:
            self.sent_in_spite.append("an upload, while submission was paused")
        for _ in range(self.chance.randrange(4)):
            await anyio.lowlevel.checkpoint()
        if self.person is not None and self.chance.random() < 0.05:
            await self.person()
        TRIPWIRE.step(f"{phase} {name}")

    async def create_batch(self, order: BatchOrder) -> Batch:
        if self.is_paused or order.metadata["batchd_job"] in self.unwanted:
            self.sent_in_spite.append(f"{order.metadata} (paused: {self.is_paused})")
        return await super().create_batch(order)

    def _answer_to(self, request: Request) -> tuple[int, dict[str, Any]]:
        is_table = wild_tables.is_of_a_table(request)
        return wild_tables.answer(request, self.chance) if is_table else answer_for(request)

    def _execute(self, made: Made, request: Request) -> dict[str, Any] | None:
        line = super()._execute(made, request)
        if line and line["response"]["status_code"] < 400:
            self.charged += 1
            answered = self.answered[made.order.metadata["batchd_job"]]
            answered.update(wild_tables.well_answered(request, line))
        return line


#: As often as they stand here.
HAPPENINGS = (
    *("drop", "drop", "drop", "look", "cancel", "order", "hold", "release", "release", "pause"),
    *("resume", "resume", "deny", "allow", "allow", "allow", "lose", "lose", "no_room", "expire"),
    *("stranger_cancels", "batch_fails", "vanish", "time"),
)


@dataclass
class Wild:
    """One world by one seed."""

    root: Path
    seed: int
    dropped: list[Dropped] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)  #: jobs
    partial: set[str] = field(default_factory=set)  #: jobs of which a stranger cancelled a batch
    said: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"wild {self.seed}")
        self.clock = FakeClock()
        self.remote = WildRemote(self.clock, self.chance)
        self.remote.batch_seconds = self.chance.choice((10.0, 60.0, 4000.0))
        self.remote.keep_seconds = self.chance.choice((None, None, int(2 * _HOUR)))
        self.remote.listing_lag_seconds = self.chance.choice((0.0, 5.0))
        self.services: Services | None = None
        self.settings = self._settings()
        self.has_deadline = "deadline_hours" in self.settings["jobs"]
        for name, text in wild_tables.TASKS.items():
            write_task(self.root, name, text)

    def _settings(self) -> dict[str, dict[str, Any]]:
        chance = self.chance
        jobs: dict[str, Any] = {"keep_days": chance.choice((0.0001, 0.1))}
        if chance.random() < 0.2:
            jobs["deadline_hours"] = chance.choice((0.5, 5.0))
        budget: dict[str, Any] = {}
        if chance.random() < 0.5:
            budget["per_day"] = chance.choice((0.0005, 0.002))
        if chance.random() < 0.2:
            budget["per_job"] = 0.0008
        batches = {
            "max_requests": chance.choice((2, 3, 100)),
            "max_open": chance.choice((1, 2, 100)),
            "enqueued_tokens": {"gpt-4o-mini": 60} if chance.random() < 0.3 else {},
        }
        openai: dict[str, Any] = {"delete_files": chance.random() < 0.7}
        if self.remote.keep_seconds:
            openai["keep_files_days"] = self.remote.keep_seconds / _DAY
        return {
            "jobs": jobs,
            "budget": budget,
            "batches": batches,
            "openai": openai,
            "retries": {"max_attempts": 50},
            "inbox": {"identical": chance.choice(("join", "join", "separate"))},
        }

    # A life -------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Be killed and started again until the time of disturbance is over; then come to rest."""
        left = _TURNS
        while left > 0:
            left = await self._killed_somewhere(left)
        await self._come_to_rest()

    async def _killed_somewhere(self, turns: int) -> int:
        kill_at = self.chance.choice((None, self.chance.randrange(1, 400)))
        TRIPWIRE.arm(self.root, kill_at=kill_at)
        lives = self.chance.randrange(10, 80)
        try:
            async with self._open() as services:
                services.ledger = TrippedLedger(services.ledger)  # type: ignore[assignment]
                self.services = services
                for _ in range(min(lives, turns)):
                    turns -= 1
                    await self._one_turn(services)
        except* Killed:
            self.said["killed"] += 1
            turns -= 1
        finally:
            self.services = self.remote.person = None
            TRIPWIRE.disarm()
        return turns

    def _open(self) -> Any:
        return open_services(self.root, remote=self.remote, clock=self.clock, **self.settings)

    async def _one_turn(self, services: Services) -> None:
        self.remote.person = self._speak
        await self._happens(services)
        await self._note_what_rests(services)
        if self.chance.random() < 0.5:
            await self._all_at_once(services)
        else:
            await turn(services)
        self.clock.advance(self.chance.choice((0.01, 1.0, 1.0, 5.0, 30.0, 300.0)))

    async def _note_what_rests(self, services: Services) -> None:
        jobs = (await services.ledger.unfinished())[0]
        self.remote.is_paused = Pause.SUBMISSION in await services.ledger.pauses()
        self.remote.unwanted = {
            job.id for job in jobs if job.hold == ReasonCode.HELD or job.cancelled_at is not None
        }

    async def _all_at_once(self, services: Services) -> None:
        for stage in self.chance.sample(STAGES, len(STAGES)):
            await stage.run_once(services)
            if self.chance.random() < 0.3:
                await services.crews[stage.NAME].finish()
        for crew in services.crews.values():
            await crew.finish()

    async def _come_to_rest(self) -> None:
        remote = self.remote
        remote.allow()
        remote._fates.clear()
        remote._troubles.clear()
        remote.batch_seconds = 10.0
        remote.is_paused, remote.unwanted = False, set()
        async with self._open() as services:
            for what in Pause:
                await wishes.resume(what, services, by="the end")
            for _ in range(_CALM):
                for job in (await services.ledger.unfinished())[0]:
                    if job.hold:
                        await wishes.release(job.id, services, by="the end")
                if not await turn(services):
                    if self._is_over():
                        break
                    self.clock.advance(self.chance.choice((1.0, 10.0, 60.0, _HOUR)))
            else:
                unfinished = await services.ledger.unfinished()
                raise AssertionError(f"seed {self.seed}: never at rest: {_short(unfinished)}")
            for _ in range(4):  # what is kept for a while is tidied away
                self.clock.advance(_DAY)
                while await turn(services):
                    pass

    def _is_over(self) -> bool:
        return len(delivered_folders(self.root)) >= len(self.dropped)

    # What happens -------------------------------------------------------------------------------

    async def _happens(self, services: Services) -> None:
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            what = self.chance.choice(HAPPENINGS)
            self.said[what] += 1
            await getattr(self, f"_{what}")(services)

    async def _speak(self) -> None:
        """A person, in the middle of something."""
        if self.services is not None:
            what = self.chance.choice(("cancel", "hold", "release", "pause", "resume"))
            if what in ("release", "resume"):
                self.remote.is_paused, self.remote.unwanted = False, set()
            self.said[f"{what} in a call"] += 1
            await getattr(self, f"_{what}")(self.services)

    async def _drop(self, _: Services) -> None:
        number = len(self.dropped)
        if number >= 12:
            return
        task = self.chance.choice(("", "", *wild_tables.TASKS))
        if self.dropped and self.chance.random() < 0.4:
            twin = self.chance.choice(self.dropped)
            ids = twin.ids
            task = twin.task if self.chance.random() < 0.8 else task
        else:
            ids = tuple(f"f{number}-{n}" for n in range(self.chance.choice((1, 2, 5, 9))))
        if task:
            self._drop_table(task, f"n{number}.csv", ids)
            return
        lines: list[Any] = [request(id) for id in ids or ("x",)]
        if ids is None or self.chance.random() < 0.05:
            lines, ids = [b"{"], None
        for id in ids or ():
            if id not in self.remote.verdicts and self.chance.random() < 0.2:
                self.remote.verdicts[id] = [self.chance.choice((429, 500))]
        name = f"n{number}.jsonl" + (".gz" if ids and self.chance.random() < 0.2 else "")
        with _not_ours():
            path = drop(self.root, name, lines)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.dropped.append(Dropped(name, sha256, ids))

    def _drop_table(self, task: str, name: str, ids: tuple[str, ...] | None) -> None:
        is_bad = ids is None or self.chance.random() < 0.05
        with _not_ours():
            content = wild_tables.content_of(ids or ("x",), is_bad=is_bad)
            path = drop_table(self.root, task, name, content)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.dropped.append(Dropped(name, sha256, None if is_bad else ids, task))

    async def _job(self, services: Services) -> str | None:
        jobs = [job.id for job in (await services.ledger.unfinished())[0]]
        return self.chance.choice(jobs) if jobs else None

    async def _cancel(self, services: Services) -> None:
        if self.chance.random() < 0.5 and (job := await self._job(services)):
            # Noted first: killed after the word it counts, too.
            self.cancelled.add(job)
            await wishes.cancel(job, services, by="anna")

    async def _order(self, services: Services) -> None:
        if self.chance.random() < 0.5 and (job := await self._job(services)):
            self.cancelled.add(job)
            with _not_ours():
                (self.root / "inbox" / f"{job}.cancel").touch()

    async def _hold(self, services: Services) -> None:
        if job := await self._job(services):
            await wishes.hold(job, services, by="anna")

    async def _release(self, services: Services) -> None:
        if job := await self._job(services):
            await wishes.release(job, services, by="anna")

    async def _pause(self, services: Services) -> None:
        await wishes.pause(self.chance.choice(list(Pause)), services, by="anna")

    async def _resume(self, services: Services) -> None:
        for what in Pause:
            await wishes.resume(what, services, by="anna")

    async def _deny(self, _: Services) -> None:
        self.remote.deny()

    async def _allow(self, _: Services) -> None:
        self.remote.allow()

    async def _lose(self, _: Services) -> None:
        lose = self.chance.choice(
            (self.remote.lose_connection_after, self.remote.lose_connection_before)
        )
        lose(self.chance.choice(_LOSABLE))

    async def _no_room(self, _: Services) -> None:
        error = RemoteUnavailable(
            "queue full", may_have_happened=False, status=429, code=NO_ROOM_CODE
        )
        self.remote.fail("create_batch", error)

    async def _expire(self, _: Services) -> None:
        self.remote.expire(fraction=self.chance.choice((0.0, 0.5)))

    async def _stranger_cancels(self, _: Services) -> None:
        """On the provider's web page: what was not executed is not bought again."""
        live = [made for made in self.remote._batches.values() if not made.status.is_end]
        if live and self.chance.random() < 0.3:
            made = self.chance.choice(live)
            self.partial.add(made.order.metadata["batchd_job"])
            self.remote._cancel(made)

    async def _batch_fails(self, _: Services) -> None:
        text = "Enqueued token limit reached for gpt-4o-mini. Limit: 240 enqueued tokens."
        error = self.chance.choice(
            (BatchError(NO_ROOM_CODE, text), BatchError("server_error", "sorry"))
        )
        self.remote.fail_batches_with(error)

    async def _vanish(self, _: Services) -> None:
        """An upload is gone, before anybody used it."""
        used = {made.order.input_file_id for made in self.remote._batches.values()}
        uploads = [
            id
            for id, file in self.remote.files.items()
            if file.purpose == "batch" and id not in used
        ]
        if uploads:
            self.remote.vanish(self.chance.choice(uploads))

    async def _time(self, _: Services) -> None:
        self.clock.advance(self.chance.choice((60.0, 700.0, _HOUR, 7 * _HOUR, _DAY)))

    async def _look(self, services: Services) -> None:
        """Whoever asks gets an answer, whatever goes on."""
        given, now = settings(self.root, **self.settings), self.clock.now()
        look_at(self.root, now=now, given=given)
        for job in (await services.ledger.unfinished())[0]:
            ask(self.root, job.id, now=now, given=given)


def delivered_folders(root: Path) -> list[Path]:
    """What lies in the outbox, and has appeared."""
    outbox = root / "outbox"
    return sorted(p for p in outbox.iterdir() if p.name[0] != ".") if outbox.exists() else []


def _short(unfinished: Any) -> list[Any]:
    jobs, shards = unfinished
    return [(j.id, j.state, j.hold, j.cancelled_at, j.joined) for j in jobs] + [
        (s.id, s.state, s.status, s.reason, s.due_at, s.batch) for s, *_ in shards
    ]


@contextmanager
def _not_ours() -> Iterator[None]:
    """What somebody else does to the folders is no place for the house to die."""
    root, TRIPWIRE.root = TRIPWIRE.root, None
    try:
        yield
    finally:
        TRIPWIRE.root = root
