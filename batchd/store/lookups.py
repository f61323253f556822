"""What the stages ask the ledger. Reads only; every answer is a value."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec

from batchd.core.admission import Created, Load
from batchd.core.errors import BrokenInvariant
from batchd.core.model import JobState, Pause, ShardState
from batchd.core.subjects import Job, OpenShard, Shard
from batchd.store import sql, values
from batchd.store.database import Database

T = TypeVar("T")

_MOST = 1000  #: values fetched at once: a stage looks again when these are done


@dataclass(frozen=True, slots=True)
class Glance:
    """How things stand, in a line. Times are seconds since the epoch."""

    open: int  #: batches at the provider
    oldest: float | None  #: when the first of them was opened
    next_look: float | None  #: when one of them is to be looked at
    waiting: int  #: jobs on their way with nothing open


class NextSubmission(NamedTuple):
    """When the stage that submits is to look again."""

    due: float | None  #: a doubt, or a shard that was put off
    some_planned: bool  #: whether anything waits for another hour, or for room


class Submission(NamedTuple):
    """What decides whether and how a shard is sent."""

    shard: Shard
    job: Job
    is_paused: bool
    found_no_model: bool  #: whether all of a shard of this job and model came back without a model
    shards: int  #: how many its job has had so far


class Lookups:
    """The reading half of the ledger.

    Each question is a hand-over to the database's thread: what is asked for the same thing is asked
    at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def job(self, job_id: str) -> Job:
        """Return one job. Raises `BrokenInvariant` for an id that isn't there."""
        jobs = await self._all("job", values.job, job=job_id)
        return _only(jobs, f"job {job_id}")

    async def find_job(self, job_id: str) -> Job | None:
        """Return one job; None for an id that isn't there, or is not there any more."""
        jobs = await self._all("job", values.job, job=job_id)
        return jobs[0] if jobs else None

    async def shard(self, shard_id: str) -> Shard:
        """Return one shard. Raises `BrokenInvariant` for an id that isn't there."""
        shards = await self._all("shard", values.shard, shard=shard_id)
        return _only(shards, f"shard {shard_id}")

    async def jobs_in(self, state: JobState, *, most: int = _MOST) -> Sequence[Job]:
        """Return jobs of a state, oldest first."""
        return await self._all("jobs_in", values.job, state=str(state), most=most)

    async def jobs_to_deliver(self, *, most: int = _MOST) -> Sequence[Job]:
        """Return jobs whose folder is appearing, then those that have none yet, oldest first."""
        return await self._all("jobs_to_deliver", values.job, most=most)

    async def jobs_between_rounds(self, *, most: int = _MOST) -> Sequence[Job]:
        """Return jobs with no live shard that still have something to try again."""
        return await self._all("jobs_between_rounds", values.job, most=most)

    async def jobs_claimed_by(self, time: float, *, most: int = _MOST) -> Sequence[Job]:
        """Return jobs that still want answers, were claimed by a time, and are not cancelled."""
        return await self._all("jobs_claimed_by", values.job, time=time, most=most)

    async def oldest_claim(self) -> float | None:
        """Return when the first of such jobs was claimed."""
        oldest: float | None = await self._one("oldest_claim")
        return oldest

    async def jobs_to_tidy(self, *, before: float, most: int = _MOST) -> Sequence[Job]:
        """Return jobs delivered before a time whose work folder is still there."""
        return await self._all("jobs_to_tidy", values.job, before=before, most=most)

    async def jobs_to_tell(self, *, most: int = _MOST) -> Sequence[Job]:
        """Return delivered jobs that nobody was told of yet, oldest first."""
        return await self._all("jobs_to_tell", values.job, most=most)

    async def shards_to_clean(self, *, most: int = _MOST) -> Sequence[Shard]:
        """Return shards of delivered jobs whose files at the provider nobody needs any more."""
        return await self._all("shards_to_clean", values.shard, most=most)

    async def needed_files(self, shards: Mapping[str, str]) -> set[str]:
        """Return those of the files (id and the shard it was uploaded for) that are not to go."""
        asked = {"files": _as_json(shards.keys()), "shards": _as_json(shards.values())}
        rows = await self._rows("files_of_shards", **asked)
        known = {row["file_id"] for row in rows}
        live = {row["id"] for row in rows if row["state"] != ShardState.COLLECTED}
        return {file for file, shard in shards.items() if file in known or shard in live}

    async def known_jobs(self, ids: Iterable[str]) -> set[str]:
        """Return those of the ids that the ledger has."""
        # Folder names can be no text at all; ours are ASCII.
        text = [name for name in ids if name.isascii()]
        return set(await self._all("job_ids", lambda row: str(row["id"]), ids=_as_json(text)))

    async def on_their_way(self) -> Sequence[tuple[str, int]]:
        """Return the ids of jobs on their way, oldest first, with how many live shards each has."""
        return await self._all("on_their_way", lambda row: (row["id"], row["live"]))

    async def unfinished(
        self, among: Iterable[str] | None = None
    ) -> tuple[Sequence[Job], Sequence[tuple[Shard, str | None]]]:
        """Return the jobs on their way, and their live shards with what their reason says.

        `among`: of these ids only. Ten thousand batches are 20 MB as values: few are wanted at once.
        """
        ids = [id_ for id_, _ in await self.on_their_way()] if among is None else among
        asked = {"jobs": _as_json(ids)}

        def work(
            connection: sqlite3.Connection,
        ) -> tuple[Sequence[Job], Sequence[tuple[Shard, str | None]]]:
            # One moment for both: a job's shards may be done before it is.
            jobs = connection.execute(sql.query("unfinished_jobs"), asked)
            shards = connection.execute(sql.query("live_shards"), asked)
            return [values.job(row) for row in jobs], [(values.shard(r), r["text"]) for r in shards]

        return await self._database.read(work)

    async def marked_jobs(self) -> Sequence[Job]:
        """Return active jobs that are held or cancelled."""
        return await self._all("marked_jobs", values.job)

    async def turns_taken(self) -> Mapping[tuple[str, str], int]:
        """Return how many batches are, or may be, at the provider, by job and model."""
        return {
            (row["job"], row["model"]): row["shards"] for row in await self._rows("turns_taken")
        }

    async def intake(self) -> tuple[int, str | None]:
        """Return how many jobs are claimed and not yet delivered, and who has paused the intake."""
        (row,) = await self._rows("intake")
        return row["on_their_way"], row["paused_by"]

    async def glance(self) -> Glance:
        """Return the whole in four numbers."""
        (row,) = await self._rows("glance")
        return Glance(**dict(row))

    async def last_job(self) -> str | None:
        """Return the youngest id there is."""
        youngest: str | None = await self._one("last_job")
        return youngest

    async def shards_of(self, job_id: str) -> Sequence[Shard]:
        """Return a job's shards in the order they were planned."""
        return await self._all("shards_of", values.shard, job=job_id)

    async def shards_due(
        self, state: ShardState, *, now: float, most: int = _MOST
    ) -> Sequence[Shard]:
        """Return shards of a state that are to be looked at, the longest due first."""
        return await self._all("shards_due", values.shard, state=str(state), now=now, most=most)

    async def shards_to_submit(
        self, *, now: float, most: int = _MOST, first: Iterable[str] = ()
    ) -> Sequence[Shard]:
        """Return planned shards that are due, one of each job and model before a second of any.

        `first`: these are in any case among them, due or not, and before all others.
        """
        asked = {"now": now, "most": most, "first": _as_json(first)}
        return await self._all("shards_to_submit", values.shard, **asked)

    async def submission(self, shard_id: str) -> Submission:
        """Return what decides about one shard. Raises `BrokenInvariant` for one that isn't there."""

        def work(connection: sqlite3.Connection) -> Submission:
            shard, job = _shard_and_job(connection, shard_id)
            asked = {"job": shard.job, "model": shard.model}
            (more,) = connection.execute(sql.query("submission"), asked)
            is_paused, found_no_model = bool(more["is_paused"]), bool(more["found_no_model"])
            return Submission(shard, job, is_paused, found_no_model, more["shards"])

        return await self._database.read(work)

    async def shard_and_job(self, shard_id: str) -> tuple[Shard, Job]:
        """Return a shard and its job. Raises `BrokenInvariant` for an id that isn't there."""

        def work(connection: sqlite3.Connection) -> tuple[Shard, Job]:
            return _shard_and_job(connection, shard_id)

        return await self._database.read(work)

    async def job_and_shards(self, job_id: str) -> tuple[Job, Sequence[Shard]]:
        """Return a job, and the shards that have its answers: its own, or those of its first."""

        def work(connection: sqlite3.Connection) -> tuple[Job, Sequence[Shard]]:
            rows = connection.execute(sql.query("job"), {"job": job_id})
            job = _only([values.job(row) for row in rows], f"job {job_id}")
            whose = {"job": job.joined or job.id}
            rows = connection.execute(sql.query("shards_of"), whose)
            return job, [values.shard(row) for row in rows]

        return await self._database.read(work)

    async def next_submission(self, *, now: float) -> NextSubmission:
        """Return when there may be something to submit that is not to be submitted now."""
        (row,) = await self._rows("next_submission", now=now)
        dues = [due for due in (row["doubt"], row["deferred"]) if due is not None]
        return NextSubmission(min(dues, default=None), bool(row["some_planned"]))

    async def shards_in(self, state: ShardState) -> Sequence[Shard]:
        """Return all shards of a state."""
        return await self._all("shards_in", values.shard, state=str(state))

    async def open_shards(self) -> Sequence[OpenShard]:
        """Return all shards with a batch at the provider, as far as a sweep needs to know them."""

        def work(connection: sqlite3.Connection) -> list[OpenShard]:
            return values.open_shards(connection.execute(sql.query("open_shards")))

        return await self._database.read(work)

    async def shards_called_off(self, *, most: int = _MOST) -> Sequence[Shard]:
        """Return planned shards of jobs that were cancelled."""
        return await self._all("shards_called_off", values.shard, most=most)

    async def shards_to_cancel(self, *, now: float, most: int = _MOST) -> Sequence[Shard]:
        """Return open shards of cancelled jobs that are due, of which the provider knows nothing."""
        return await self._all("shards_to_cancel", values.shard, now=now, most=most)

    async def live_at_provider(self) -> Load:
        """Return what counts against the account's limits."""
        rows = await self._rows("live_at_provider")
        tokens = {row["model"]: row["tokens"] for row in rows}
        batches = sum(row["shards"] for row in rows)
        return Load(batches, tokens, sum(row["embeddings"] for row in rows))

    async def created_since(self, since: float) -> Created:
        """Return how many creations of a batch began after a time, and when the first of them."""
        (row,) = await self._rows("created_since", since=since)
        return Created(**dict(row))

    async def pauses(self) -> dict[Pause, str]:
        """Return what rests on somebody's word, and whose."""
        return {Pause(row["what"]): row["by"] for row in await self._rows("pauses")}

    async def waits_for_money(self) -> bool:
        """Return whether the budget holds a job."""
        return bool(await self._rows("held_by_budget"))

    async def rooms_learned(self, *, since: float) -> dict[str, int]:
        """Return the account's queue limits, tokens by model, as the provider named them."""
        return {row["model"]: row["tokens"] for row in await self._rows("rooms", since=since)}

    async def next_due(self, state: ShardState, *, after: float = 0.0) -> float | None:
        """Return when the next shard of a state is to be looked at, of those due after a time."""
        due: float | None = await self._one("next_due", state=str(state), after=after)
        return due

    async def batch_holder(self, batch: str) -> str | None:
        """Return which shard has this batch."""
        rows = await self._rows("batch_holder", batch=batch)
        return rows[0]["id"] if rows else None

    async def history_of(self, job_id: str) -> list[dict[str, Any]]:
        """Return what happened to a job, in order."""
        rows = await self._rows("history_of", job=job_id)
        return [dict(row) | {"facts": msgspec.json.decode(row["facts"])} for row in rows]

    async def lend(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Let somebody else's question be asked on this connection, for there must be no second.

        POSIX drops all of a process's locks on a file when it closes any descriptor of it.
        """
        return await self._database.read(work)

    async def _all(
        self, name: str, value: Callable[[sqlite3.Row], T], **parameters: Any
    ) -> list[T]:
        def work(connection: sqlite3.Connection) -> list[T]:
            return [value(row) for row in connection.execute(sql.query(name), parameters)]

        return await self._database.read(work)

    async def _rows(self, name: str, **parameters: Any) -> list[sqlite3.Row]:
        return await self._all(name, lambda row: row, **parameters)

    async def _one(self, name: str, **parameters: Any) -> Any:
        return (await self._rows(name, **parameters))[0][0]


def _shard_and_job(connection: sqlite3.Connection, shard_id: str) -> tuple[Shard, Job]:
    rows = connection.execute(sql.query("shard"), {"shard": shard_id})
    shard = _only([values.shard(row) for row in rows], f"shard {shard_id}")
    (row,) = connection.execute(sql.query("job"), {"job": shard.job})
    return shard, values.job(row)


def _as_json(texts: Iterable[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()


def _only(found: Sequence[T], what: str) -> T:
    if len(found) != 1:
        raise BrokenInvariant(f"the ledger has no {what}")
    return found[0]
