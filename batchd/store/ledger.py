"""The only writer of states. One call, one transaction; what may follow what is core's table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from batchd.core import events as e
from batchd.core.budget import Limits
from batchd.core.errors import BrokenInvariant
from batchd.core.model import JobState, ShardState
from batchd.core.names import shard_id
from batchd.core.sharding import ShardPlan
from batchd.core.states import JOB_MOVES, RELEASES, SETTLES, job_after, shard_after
from batchd.core.subjects import Job
from batchd.core.usage import ModelUsage
from batchd.store import budget, sql, timekeeping, values
from batchd.store.database import Database
from batchd.store.failures import LedgerGone
from batchd.store.lookups import Lookups
from batchd.store.timekeeping import Timekeeping

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Ledger(Lookups):
    """States and history of one root. Reading is `Lookups`; writing is `record`."""

    def __init__(self, database: Database, *, root: str) -> None:
        super().__init__(database)
        self.root = root  #: this root's id, in the metadata of all its batches
        self.changes = 0  #: how often something was recorded: whoever shows states looks again

    @classmethod
    async def open(cls, path: Path, *, new_root: str, now: float) -> Ledger:
        """Open the ledger; `new_root` becomes its root's id if it has none yet."""
        database = await Database.open(path)

        def work(connection: sqlite3.Connection) -> str:
            connection.execute(sql.query("create_root"), {"id": new_root, "at": now})
            return str(connection.execute(sql.query("root")).fetchone()["id"])

        try:
            return cls(database, root=await database.write(work))
        except BaseException:
            await database.close()  # its thread would keep the process alive
            raise

    async def record(self, *events: e.Event, at: float) -> None:
        """Record facts, all in one transaction. Raises `BrokenInvariant` for an illegal move."""
        if not events:
            return  # a sweep that saw nothing new, a look that found nothing: nothing is written

        def work(connection: sqlite3.Connection) -> None:
            for event in events:
                _Entry(connection, at).record(event)

        await self._database.write(work)
        self.changes += 1

    async def begin(self, *events: e.ShardEvent, at: float) -> bool:
        """Record these of one shard, of which the last begins a call, and return True.

        Where its job is held or cancelled by now, or submission rests, the last is not recorded.
        """
        *before, last = events

        def work(connection: sqlite3.Connection) -> bool:
            for event in before:
                _Entry(connection, at).record(event)
            row = connection.execute(sql.query("may_begin"), {"shard": last.shard}).fetchone()
            if may_begin := bool(row["may_begin"]):
                _Entry(connection, at).record(last)
            return may_begin

        began = await self._database.write(work)
        self.changes += 1
        return began

    async def move(self, event: e.JobEvent, *, at: float) -> Job:
        """Record what a job does, and return what it is then."""

        def work(connection: sqlite3.Connection) -> Job:
            _Entry(connection, at).record(event)
            return values.job(connection.execute(sql.query("job"), {"job": event.job}).fetchone())

        job = await self._database.write(work)
        self.changes += 1
        return job

    async def wish(self, event: e.JobEvent, *, at: float) -> bool:
        """Record what a person asks of a job; False where its state has no place for it any more.

        A person's word comes at any moment: between a look and a record the job may have gone on.
        """

        def work(connection: sqlite3.Connection) -> bool:
            return _Entry(connection, at).wish(event)

        granted = await self._database.write(work)
        self.changes += granted
        return granted

    async def lapse_holds(self, limits: Limits, *, at: float) -> Sequence[str]:
        """Let jobs go on that only the budget holds, where it has room for them again.

        They are planned as if just claimed: what has changed meanwhile is decided there.
        """
        return await self._lapse(lambda connection: budget.fitting(connection, limits, at=at), at)

    async def lapse_unpriced(self, *, at: float) -> Sequence[str]:
        """Let jobs go on whose price was not known: it may be, since the start."""
        return await self._lapse(budget.unpriced, at)

    async def _lapse(
        self, which: Callable[[sqlite3.Connection], Sequence[str]], at: float
    ) -> Sequence[str]:
        def work(connection: sqlite3.Connection) -> Sequence[str]:
            jobs = which(connection)
            for job in jobs:
                _Entry(connection, at).record(e.HoldLapsed(job=job))
            return jobs

        if not await self._database.read(which):
            return ()  # as good as always, and nothing is written
        jobs = await self._database.write(work)
        self.changes += len(jobs)
        return jobs

    async def tell_nobody(self, *, rejected: bool, at: float) -> None:
        """Have no notice due for the ends of one kind: nobody wants any."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(sql.query("tell_nobody"), {"rejected": rejected, "at": at})

        await self._database.write(work)

    async def look_sooner(self, batches: Sequence[str], *, at: float) -> Sequence[str]:
        """Make those of these batches due that are open; return their shards."""
        which = {"batches": msgspec.json.encode(batches).decode()}

        def work(connection: sqlite3.Connection) -> Sequence[str]:
            rows = connection.execute(sql.query("open_batches_among"), which).fetchall()
            for row in rows:
                _Entry(connection, at).record(e.LookAsked(shard=row["id"], due_at=at))
            return [row["id"] for row in rows]

        shards = await self._database.write(work)
        self.changes += bool(shards)
        return shards

    async def note_paid(self, task: str, paid: Mapping[str, ModelUsage], *, at: float) -> None:
        """Add what was paid without a batch, for no job, to what was spent."""
        await self._database.write(lambda connection: _Entry(connection, at).pay(task, paid))
        self.changes += 1

    async def forget(self, *, before: float, most: int) -> int:
        """Remove jobs delivered before a time, with all that was noted of them; return how many."""

        def work(connection: sqlite3.Connection) -> int:
            which = {"before": before, "most": most}
            jobs = connection.execute(sql.query("jobs_to_forget"), which).fetchall()
            for row in jobs:
                for name in ("forget_history", "forget_shards", "forget_job"):
                    connection.execute(sql.query(name), {"job": row["id"]})
            return len(jobs)

        return await self._database.write(work)

    async def read_by(self, clock: Timekeeping, *, anew: Mapping[ShardState, float]) -> None:
        """Make the stored times those of a clock that may have been set since they were written."""
        await self._database.write(partial(timekeeping.read_by, clock, anew))

    async def clamp_due(self, latest: Mapping[ShardState, float]) -> None:
        """Bring every stored `due_at` within the longest wait of its state (a clock set back)."""

        def work(connection: sqlite3.Connection) -> None:
            for state, due_at in latest.items():
                connection.execute(sql.query("clamp_due"), {"state": str(state), "latest": due_at})

        await self._database.write(work)

    async def check(self) -> None:
        """Raise `LedgerGone` where the database is not the file that was opened."""
        await self._database.check()

    @property
    def is_lost(self) -> anyio.Event:
        """Set when the database is not the file that was opened."""
        return self._database.is_lost

    @property
    def lost(self) -> LedgerGone | None:
        """Why nothing can be recorded any more."""
        return self._database.lost

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()


@dataclass(frozen=True, slots=True)
class _Entry:
    """Writes one event, and what follows from it, into an open transaction."""

    connection: sqlite3.Connection
    at: float

    def record(self, event: e.JobEvent | e.ShardEvent | e.RootEvent) -> None:
        if isinstance(event, e.ShardEvent):
            self._shard_event(event)
        elif isinstance(event, e.RootEvent):
            self._run(_statement_of(event), values.columns(event))
        else:
            self._job_event(event)

    def wish(self, event: e.JobEvent) -> bool:
        found = self.connection.execute(sql.query("job"), {"job": event.job}).fetchone()
        if found is None or (JobState(found["state"]), type(event)) not in JOB_MOVES:
            return False
        if isinstance(event, e.JobHeld) and found["cancelled_at"] is not None:
            return False  # it would wait for ever on its way to the end it was told to come to
        self.record(event)
        return True

    def _job_event(self, event: e.JobEvent) -> None:
        if isinstance(event, e.JobPlanned):
            event = self._too_dear(event) or event
        if isinstance(event, e.JobClaimed):
            self._run("job_claimed", values.columns(event))
        else:
            was = JobState(self._state("job", job=event.job))
            self._move(event, was, job_after(was, type(event)))
        if isinstance(event, e.JobPlanned) and not self._joins(event):
            self._insert_shards(event.job, 1, event.shards)
        elif isinstance(event, e.RoundPlanned):
            self._insert_shards(event.job, event.round, event.shards)
        elif isinstance(event, e.JobCancelled):
            self._call_off(event.job)
        self._history(event.job, None, event)

    def _too_dear(self, event: e.JobPlanned) -> e.JobHeld | None:
        """Decide, where it is planned, whether the budget has room for it; hold it where not.

        In this transaction and nowhere else: of two files read at once each would find room for
        itself, and both together cross the limit. One that joins costs nothing; one that a person
        holds is let go by a person, who may.
        """
        job = self._row("job", job=event.job)
        is_free = job["waived"] or job["cancelled_at"] is not None
        # The second: held while it had another's answers, which came to nothing.
        is_held = job["state"] != "claimed" or job["hold"] is not None
        if event.limits is None or is_free or is_held or self._leader(event, job):
            return None
        held = budget.why_held(self.connection, event.job, event.estimate, event.limits, at=self.at)
        if held is None:
            return None
        return e.JobHeld(job=event.job, reason=held.reason, text=held.text, estimate=event.estimate)

    def _leader(self, event: e.JobPlanned, job: sqlite3.Row) -> sqlite3.Row | None:
        """Return the job that it joins."""
        if not event.join or job["cancelled_at"] is not None:
            return None
        same = {
            "job": event.job,
            "sha256": event.sha256,
            "task": job["task"],
            "recipe": event.recipe,
        }
        leader: sqlite3.Row | None = self.connection.execute(sql.query("leader"), same).fetchone()
        return leader

    def _joins(self, event: e.JobPlanned) -> bool:
        """Decide, where it is planned, whether it has another's answers and needs no shards.

        In this transaction and nowhere else: between a look and a later record, the first could
        be delivered and its answers tidied away.
        """
        leader = self._leader(event, self._row("job", job=event.job))
        if leader is None:
            return False
        self._run("join_job", {"job": event.job, "leader": leader["id"]})
        if leader["state"] != JobState.ACTIVE:
            self._consequence("settle_joined", leader["id"], SETTLES)
        return True

    def _call_off(self, job: str) -> None:
        """Those that joined a cancelled job go on alone; so does one that is cancelled itself."""
        for name in ("release_joined", "leave_joined"):
            self._consequence(name, job, RELEASES)
        self._run("wake_shards", {"job": job})

    def _shard_event(self, event: e.ShardEvent) -> None:
        row = self._row("shard", shard=event.shard)
        was = ShardState(row["state"])
        self._move(event, was, shard_after(was, type(event)))
        if isinstance(event, e.ShardReplaced):
            self._replace(event, row)
        if isinstance(event, e.ShardCollected):
            self.pay(self._row("job", job=row["job"])["task"], event.usage)
        if isinstance(event, e.ShardCollected | e.ShardReplaced):
            self._settle(row["job"])
        if not isinstance(event, e.BatchSeen) or event.changed:
            self._history(row["job"], event.shard, event)

    def _move(self, event: e.JobEvent | e.ShardEvent, was: str, state: str) -> None:
        moved = self._run(
            _statement_of(event), {**values.columns(event), "was": str(was), "state": str(state)}
        )
        if moved != 1:
            raise BrokenInvariant(f"{type(event).__name__} moved {moved} rows from state {was}")

    def pay(self, task: str, usage: Mapping[str, ModelUsage]) -> None:
        """Add what answers took to what was spent."""
        for model, used in usage.items():
            self._run("add_spend", {"task": task, "model": model, **values.spent(used)})

    def _settle(self, job: str) -> None:
        """Settle a job that has its last verdict, and those that joined it: they have it, too."""
        if not self._consequence("settle_job", job, SETTLES):
            return
        kept = self.connection.execute(sql.query("kept_of"), {"job": job}).fetchone()[0]
        if kept:
            self._consequence("settle_joined", job, SETTLES)
        else:
            self._consequence("release_joined", job, RELEASES)

    def _consequence(self, name: str, job: str, move: tuple[JobState, JobState]) -> int:
        """Make a move that no event of its own asks for; return how many jobs made it."""
        was, state = move
        return self._run(name, {"job": job, "was": str(was), "state": str(state)})

    def _insert_shards(self, job: str, generation: int, plans: Sequence[ShardPlan]) -> None:
        if not plans:
            raise BrokenInvariant(
                f"round {generation} of job {job} has no shard: it would never end"
            )
        for plan in plans:
            size = {"round": generation, "records": len(plan.rows)}
            self._insert_shard(job, {**values.columns(plan), **size})

    def _insert_shard(self, job: str, shard: Mapping[str, Any]) -> None:
        number = self.connection.execute(sql.query("next_shard_number"), {"job": job}).fetchone()[0]
        empty = {
            "tries": 0,
            "file_id": None,
            "file_at": None,
            "planned_at": self.at,
            "due_at": self.at,
            "reason": None,
            "text": None,
        }
        place = {"id": shard_id(job, number), "job": job, "number": number}
        self._run("insert_shard", {**empty, **shard, **place})

    def _replace(self, event: e.ShardReplaced, old: sqlite3.Row) -> None:
        heir = {
            **{name: old[name] for name in old.keys()},  # noqa: SIM118  # a Row iterates its values
            "tries": old["tries"] + 1,
            "file_id": old["file_id"] if event.keep_file else None,
            "file_at": old["file_at"] if event.keep_file else None,
            "due_at": event.due_at,
            "reason": event.reason,
            "text": event.text,
        }
        self._insert_shard(old["job"], heir)

    def _history(self, job: str, shard: str | None, event: Any) -> None:
        name = type(event).__name__
        self._run(
            "insert_history",
            {"job": job, "shard": shard, "event": name, "facts": values.facts(event)},
        )

    def _state(self, name: str, **subject: str) -> str:
        return str(self._row(name, **subject)["state"])

    def _row(self, name: str, **subject: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self.connection.execute(sql.query(name), subject).fetchone()
        if row is None:
            raise BrokenInvariant(f"the ledger has no {name} {subject}")
        return row

    def _run(self, name: str, parameters: Mapping[str, Any]) -> int:
        return self.connection.execute(sql.query(name), {**parameters, "at": self.at}).rowcount


def _statement_of(event: object) -> str:
    return _CAMEL.sub("_", type(event).__name__).lower()
