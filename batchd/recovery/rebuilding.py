"""A job made anew from its file and its batches: each row belongs to the last batch that has it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from batchd.core.model import Batch, BatchStatus, Counts, JobState, ShardState
from batchd.core.names import shard_id
from batchd.core.rows import RowSet
from batchd.core.sharding import ShardPlan
from batchd.core.subjects import Job, Shard
from batchd.recovery.disk import claimed_at
from batchd.recovery.lines import Lines
from batchd.recovery.listing import CannotKnow, number_of
from batchd.rounds.keeping import recipe_of

Rows = Mapping[str, RowSet]  #: by batch


def rebuilt_job(job: str, lines: Lines, *, now: float) -> Job:
    """Return the job as plan would have left it, on its way in round 1."""
    status = lines.path.stat()
    return Job(
        id=job,
        state=JobState.ACTIVE,
        name=os.fsencode(lines.path.name),
        task=lines.task.name if lines.task else "",
        recipe=recipe_of(lines.task) if lines.task else None,
        size=status.st_size,
        owner=status.st_uid,
        round=1,
        joined=None,
        claimed_at=claimed_at(lines.path),
        state_at=now,
        sha256=lines.sha256,
        requests=len(lines.rows),
        signature=lines.signature,
        repairs=lines.repairs.as_dict() if lines.repairs else {},
        verbatim=False,  # the rows of a shard are cut out: right for every shard
        reason=None,
        problems=None,
        folder=None,
        outcome=None,
        summary={},
        delivered_at=None,
    )


def rebuilt_shards(
    job: str, lines: Lines, batches: Sequence[Batch], rows: Rows, *, now: float
) -> list[Shard]:
    """Return the batches as open shards, and what no batch has as planned ones.

    An earlier batch that had a row, too, had no answer for it, or it would not have travelled
    again: looking only at the last one judges each request once, and sends none that has a batch.
    """
    taken = RowSet()
    numbers = _Numbers(job, batches)
    shards = []
    for batch in sorted(batches, key=lambda b: b.created_at or 0.0, reverse=True):
        # A failed batch executed nothing, and never will: what only it had is sent anew.
        own = RowSet() if batch.status is BatchStatus.FAILED else rows[batch.id] - taken
        if own:
            taken |= own
            plan = _only_plan(lines, own, batch)
            shards.append(_adopted(job, numbers.of(batch), plan, batch, now=now))
    left = lines.shards(lines.rows - taken, limited=True)
    shards += [_planned(job, numbers.next(), plan, now=now) for plan in left]
    return sorted(shards, key=lambda shard: shard.number)


class _Numbers:
    """Shards keep the number that their batch bears; new ones begin after all that were ever seen."""

    def __init__(self, job: str, batches: Iterable[Batch]) -> None:
        self._job = job
        seen = [number_of(batch, job) or 0 for batch in batches]
        self._new = count(max(seen, default=0) + 1)
        self._used: set[int] = set()

    def of(self, batch: Batch) -> int:
        number = number_of(batch, self._job)
        if number is None or number in self._used:
            return self.next()
        self._used.add(number)
        return number

    def next(self) -> int:
        return next(self._new)


def _only_plan(lines: Lines, rows: RowSet, batch: Batch) -> ShardPlan:
    plans = lines.shards(rows, limited=False)
    if len(plans) != 1:
        raise CannotKnow(f"batch {batch.id} has requests of {len(plans)} kinds; ours have one")
    return plans[0]


def _adopted(job: str, number: int, plan: ShardPlan, batch: Batch, *, now: float) -> Shard:
    at = batch.created_at or now
    return _shard(
        job,
        number,
        plan,
        state=ShardState.OPEN,
        at=at,
        due_at=now,
        batch=batch.id,
        file_id=batch.input_file_id,
        opened_at=at,
    )


def _planned(job: str, number: int, plan: ShardPlan, *, now: float) -> Shard:
    return _shard(job, number, plan, state=ShardState.PLANNED, at=now, due_at=now)


def _shard(
    job: str,
    number: int,
    plan: ShardPlan,
    *,
    state: ShardState,
    at: float,
    due_at: float,
    batch: str | None = None,
    file_id: str | None = None,
    opened_at: float | None = None,
) -> Shard:
    return Shard(
        id=shard_id(job, number),
        job=job,
        number=number,
        round=1,
        state=state,
        endpoint=plan.endpoint,
        model=plan.model,
        rows=plan.rows,
        requests=plan.requests,
        size=plan.size,
        tokens=plan.tokens,
        tries=0,
        due_at=due_at,
        file_id=file_id,
        batch=batch,
        status=None,
        counts=Counts(),
        output_file=None,
        error_file=None,
        errors=(),
        planned_at=at,
        submit_started_at=opened_at,
        opened_at=opened_at,
        ended_at=None,
        completed_at=None,
        collected_at=None,
        again=RowSet(),
        uncounted=RowSet(),
        kept=0,
        failed=0,
        usage={},
        oddities={},
        reason=None,
    )
