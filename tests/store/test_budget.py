"""The ledger's sums: nothing under way is forgotten or counted twice, and deciding is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchd.core import events as e
from batchd.core.budget import Limits, Spending
from batchd.core.model import CancelWhy, JobState
from batchd.core.sharding import ShardPlan
from batchd.core.usage import ModelUsage, Usage
from batchd.store import budget
from batchd.store.ledger import Ledger
from tests.store.lives import (
    JOB,
    claimed,
    collected,
    open_ledger,
    plan,
    planned,
    replaced,
    to_ended,
    to_open,
)

OTHER = "0bbbbb"
DAY = 86_400.0
NOVEMBER_30 = 1_796_040_000.0  # noon


def costing(dollars: float | None, *rows: int) -> ShardPlan:
    return replace(plan(*(rows or (1, 2, 3))), estimate=dollars)


def planning(*shards: ShardPlan, job: str = JOB, **limits: float) -> e.JobPlanned:
    known = [shard.estimate for shard in shards if shard.estimate is not None]
    estimate = sum(known) if len(known) == len(shards) else None
    given = Limits(**limits) if limits else None
    return replace(planned(*shards, job=job), estimate=estimate, limits=given)


def spent(dollars: float | None) -> Mapping[str, ModelUsage]:
    return {"small": ModelUsage(Usage(10, 2), 3, dollars)}


async def standing(ledger: Ledger, at: float = NOVEMBER_30, **besides: str) -> Spending:
    return await ledger._database.read(lambda c: budget.spending(c, at=at, **besides))


async def job(ledger: Ledger, name: str = JOB) -> Any:
    return await ledger.job(name)


async def test_what_is_under_way_becomes_what_is_spent(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(4.0), costing(2.0, 4)), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=6.0)
        one, two = (shard.id for shard in await ledger.shards_of(JOB))
        await ledger.record(*to_ended(one), *to_open(two), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=6.0)
        done = replace(collected(one), usage=spent(3.5))
        await ledger.record(done, at=NOVEMBER_30)
        assert await standing(ledger) == Spending(today=3.5, month=3.5, under_way=2.0)
        assert await standing(ledger, NOVEMBER_30 + DAY / 4) == await standing(ledger)
        # The next day is the next month's first.
        assert await standing(ledger, NOVEMBER_30 + DAY) == Spending(under_way=2.0)


async def test_what_is_to_be_tried_again_stays_under_way(tmp_path: Path):
    """One of three rows comes back; between its verdict and its round it is expected all the same."""
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(6.0)), at=NOVEMBER_30)
        (shard,) = await ledger.shards_of(JOB)
        tally = replace(collected(shard.id, 3), kept=1, failed=1, usage={})
        await ledger.record(*to_ended(shard.id), tally, at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=2.0)
        again = e.RoundPlanned(job=JOB, round=2, shards=(costing(2.5, 3),))
        await ledger.record(again, at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=2.5)


async def test_a_replaced_shard_is_counted_once(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(6.0)), at=NOVEMBER_30)
        await ledger.record(*to_ended(f"{JOB}-1"), replaced(f"{JOB}-1"), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=6.0)


async def test_what_is_held_or_cancelled_is_not_going_to_be_sent(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(6.0), costing(1.0, 4)), at=NOVEMBER_30)
        await ledger.record(*to_open(f"{JOB}-1"), e.JobHeld(job=JOB, reason="held"), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=6.0)
        await ledger.record(e.JobReleased(job=JOB), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=7.0)
        cancelled = e.JobCancelled(job=JOB, why=CancelWhy.ASKED)
        await ledger.record(cancelled, at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=6.0)


async def test_a_price_that_is_not_known_is_said_to_be_none(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(None)), at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=0.0, unknown=3)


async def test_two_that_are_planned_at_once_do_not_both_slip_under_the_limit(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), claimed(OTHER), at=NOVEMBER_30)
        both = [planning(costing(6.0), job=name, per_day=10.0) for name in (JOB, OTHER)]
        await asyncio.gather(*(ledger.record(one, at=NOVEMBER_30) for one in both))
        states = {(await job(ledger, name)).state for name in (JOB, OTHER)}
        assert states == {JobState.ACTIVE, JobState.HELD}
        (held,) = await ledger.jobs_in(JobState.HELD)
        assert (held.hold, held.estimate) == ("over-budget", 6.0)
        assert "6.00 of 10.00 are spent or under way today" in held.hold_text
        assert await ledger.shards_of(held.id) == []
        assert await ledger.waits_for_money()


async def test_one_that_joins_costs_nothing_and_is_not_held(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), claimed(OTHER), at=NOVEMBER_30)
        for name in (JOB, OTHER):
            one = planning(costing(6.0), job=name, per_day=10.0)
            await ledger.record(replace(one, join=True), at=NOVEMBER_30)
        joined = await job(ledger, OTHER)
        assert (joined.state, joined.joined, joined.estimate) == (JobState.ACTIVE, JOB, 0.0)
        assert await standing(ledger) == Spending(under_way=6.0)


@pytest.mark.parametrize(
    "words",
    [
        (e.JobCancelled(job=JOB, why=CancelWhy.ASKED),),
        (e.JobHeld(job=JOB, reason="held"), e.JobReleased(job=JOB)),
        (e.JobHeld(job=JOB, reason="held"),),  # its release waives the budget
    ],
)
async def test_a_persons_word_is_stronger_than_the_budget(tmp_path: Path, words: Any):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), *words, planning(costing(6.0), per_job=1.0), at=1.0)
        assert (await job(ledger)).state is JobState.ACTIVE


async def test_what_the_budget_holds_goes_on_when_there_is_room_and_once(tmp_path: Path):
    limits = Limits(per_day=10.0)
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), claimed(OTHER), at=NOVEMBER_30)
        for name in (JOB, OTHER):
            await ledger.record(planning(costing(6.0), job=name, per_day=10.0), at=NOVEMBER_30)
        assert await ledger.lapse_holds(limits, at=NOVEMBER_30) == ()
        done = replace(collected(f"{JOB}-1"), usage=spent(5.0))
        await ledger.record(*to_ended(f"{JOB}-1"), done, at=NOVEMBER_30)
        assert await ledger.lapse_holds(limits, at=NOVEMBER_30) == ()  # 5 + 6
        tomorrow = NOVEMBER_30 + DAY
        assert await ledger.lapse_holds(limits, at=tomorrow) == [OTHER]
        assert await ledger.lapse_holds(limits, at=tomorrow) == ()
        going = await job(ledger, OTHER)
        assert (going.state, going.hold, going.waived) == (JobState.CLAIMED, None, False)
        # While it is read again, its money is not given to another.
        assert await standing(ledger, tomorrow) == Spending(under_way=6.0)
        assert await standing(ledger, tomorrow, besides=OTHER) == Spending()


async def test_a_persons_hold_does_not_lapse(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(6.0), per_job=1.0), at=1.0)
        assert await ledger.wish(e.JobHeld(job=JOB, reason="held", text="ada"), at=2.0)
        assert await ledger.lapse_holds(Limits(), at=3.0) == ()
        assert not await ledger.waits_for_money()


async def test_a_price_may_be_known_after_a_start(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(costing(None), per_job=1.0), at=1.0)
        assert (await job(ledger)).hold == "cost-unknown"
        assert await ledger.lapse_holds(Limits(per_job=1.0), at=2.0) == ()
        assert await ledger.lapse_unpriced(at=2.0) == [JOB]
        await ledger.record(planning(costing(0.5), per_job=1.0), at=3.0)
        assert (await job(ledger)).state is JobState.ACTIVE


async def test_what_is_to_be_tried_again_counts_by_the_record_where_a_request_has_several(
    tmp_path: Path,
):
    """Two requests of three records each; one of the six is to be tried again."""
    grouped = replace(costing(6.0, 1, 2, 3, 4, 5, 6), requests=2)
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), planning(grouped), at=NOVEMBER_30)
        tally = replace(collected(f"{JOB}-1", 5), kept=5, failed=0, usage={})
        await ledger.record(*to_ended(f"{JOB}-1"), tally, at=NOVEMBER_30)
        assert await standing(ledger) == Spending(under_way=1.0)


async def test_what_is_paid_without_a_batch_is_spent_like_all_else(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        changes = ledger.changes
        await ledger.note_paid("mood", spent(1.5), at=NOVEMBER_30)
        await ledger.note_paid("mood", spent(2.0), at=NOVEMBER_30)
        await ledger.note_paid("mood", spent(4.0), at=NOVEMBER_30 + DAY)

        assert await standing(ledger) == Spending(today=3.5, month=3.5)
        assert await standing(ledger, NOVEMBER_30 + DAY) == Spending(today=4.0, month=4.0)
        assert ledger.changes == changes + 3, "whoever shows the budget looks again"
