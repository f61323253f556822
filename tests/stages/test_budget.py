"""A budget holds what would cross it, before anything is sent, and lets it go by itself in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchd.core.events import JobCancelled, JobHeld, JobReleased
from batchd.core.model import CancelWhy, JobState
from batchd.core.subjects import Job
from batchd.runtime.services import Services
from batchd.stages import plan
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, read_receipt, request, turn

#: One dollar per token out, nothing for tokens in: `max_tokens` is what a request may cost. The fake
#: answers with three tokens, so each costs three dollars.
DOLLAR = {"input": {"m": 0.0}, "output": {"m": 1_000_000.0}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def costing(dollars: int, name: str = "r", *, model: str = "m") -> list[dict[str, Any]]:
    line = request(f"{name}-1", model=model)
    return [{**line, "body": {**line["body"], "max_completion_tokens": dollars}}]


def clock() -> FakeClock:
    return FakeClock(NOON)


async def some_turns(services: Services, seconds: float = 60.0) -> None:
    until = services.clock.now() + seconds
    while services.clock.now() < until:
        if not await turn(services):
            services.clock.advance(2.0)  # type: ignore[attr-defined]  # the fake one


async def held_jobs(services: Services) -> Mapping[str, Job]:
    jobs = await services.ledger.jobs_in(JobState.HELD)
    return {job.name.decode().removesuffix(".jsonl"): job for job in jobs}


async def test_a_job_that_would_cost_too_much_is_held_and_released_for_good(tmp_path: Path):
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_job": 10.0}
    ) as services:
        drop(tmp_path, "dear.jsonl", costing(12))
        drop(tmp_path, "cheap.jsonl", costing(9, "c"))
        await live(services, deliveries=1)
        job = (await held_jobs(services))["dear"]
        assert job.hold == "over-budget"
        assert (
            job.hold_text
            == "it is expected to cost 12.00 USD; a job may cost 10.00 (budget.per_job)"
        )
        assert set(services.remote.executions) == {"c-1"}
        services.clock.advance(40 * DAY)
        await some_turns(services)
        assert set(await held_jobs(services)) == {"dear"}  # time does not help it

        assert await services.ledger.wish(JobReleased(job=job.id), at=services.clock.now())
        await live(services, deliveries=2)
        bill = read_receipt(delivered(tmp_path)["dear"])
        assert (bill["outcome"], bill["cost"]["amount"]) == ("completed", 3.0)
        assert bill["cost"]["saving"] is None  # an own price says nothing of the direct one
        assert bill["cost"]["source"].startswith("[prices]")
        (own,) = [e for e in await services.ledger.history_of(job.id) if e["event"] == "JobHeld"]
        assert own["facts"]["estimate"] == 12.0


async def test_what_a_day_has_no_room_for_goes_on_the_next_day_by_itself(tmp_path: Path):
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_day": 10.0}
    ) as services:
        drop(tmp_path, "one.jsonl", costing(8, "one"))
        await live(services, deliveries=1)  # 3 of 10 are spent
        services.clock.advance(DAY * 0.49)
        drop(tmp_path, "two.jsonl", costing(8, "two"))
        drop(tmp_path, "three.jsonl", costing(6, "three"))
        await some_turns(services)
        assert set(await held_jobs(services)) == {"two"}
        assert "three" in delivered(tmp_path)  # small enough to pass: 3 + 6, and then 3 + 3
        assert await plan.next_look(services) == NOON + DAY / 2 - services.clock.now()

        await live(services, deliveries=3)
        assert NOON + DAY / 2 <= services.clock.now() < NOON + DAY / 2 + 600
        events = [e["event"] for e in await services.ledger.history_of(_id(tmp_path, "two"))]
        assert events.count("HoldLapsed") == 1
        assert services.remote.executions == {"one-1": 1, "two-1": 1, "three-1": 1}
        assert await plan.next_look(services) is None


async def test_room_that_was_not_used_up_lets_the_oldest_go_on_at_once(tmp_path: Path):
    """Expected 10, cost 3: the rest is there for what waits, and not for both that wait."""
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_day": 10.0}
    ) as services:
        for name in ("one", "two", "three"):
            drop(tmp_path, f"{name}.jsonl", costing(7, name))
            services.clock.advance(1.0)
            await some_turns(services, 4.0)
        await some_turns(services, 300.0)
        assert set(delivered(tmp_path)) == {"one", "two"}
        assert set(await held_jobs(services)) == {"three"}  # 3 + 3 + 7


async def test_files_that_come_at_once_never_cross_the_limit_together(tmp_path: Path):
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_month": 10.0}
    ) as services:
        for number in range(6):
            drop(tmp_path, f"f{number}.jsonl", costing(4, f"f{number}"))
        await some_turns(services, 6.0)
        assert len(services.remote.opened) == 2
        assert len(await held_jobs(services)) == 4
        for _ in range(40):
            await some_turns(services, 30.0)
            assert 3 * len(services.remote.executions) <= 10
        assert len(services.remote.executions) == 3  # 3 + 3 + 4


async def test_a_price_that_nobody_knows_waits_for_one(tmp_path: Path):
    now = clock()
    remote = FakeRemote(now)
    limits = {"per_day": 10.0}
    async with open_services(tmp_path, remote=remote, clock=now, budget=limits) as services:
        drop(tmp_path, "odd.jsonl", costing(5))
        await some_turns(services)
        job = (await held_jobs(services))["odd"]
        assert (job.hold, job.estimate) == ("cost-unknown", None)
        assert job.hold_text == "there is a budget, and the price of its model is not known"
    async with open_services(
        tmp_path, remote=remote, clock=now, budget=limits, prices=DOLLAR
    ) as services:
        await live(services, deliveries=1)
    assert read_receipt(delivered(tmp_path)["odd"])["cost"]["amount"] == 3.0


async def test_without_a_budget_nothing_is_held_and_a_budget_may_be_taken_back(tmp_path: Path):
    now = clock()
    remote = FakeRemote(now)
    async with open_services(tmp_path, remote=remote, clock=now, budget={"per_job": 1.0}) as first:
        drop(tmp_path, "odd.jsonl", costing(5))
        await some_turns(first)
        assert set(await held_jobs(first)) == {"odd"}
    async with open_services(tmp_path, remote=remote, clock=now) as services:
        await live(services, deliveries=1)
    assert read_receipt(delivered(tmp_path)["odd"])["cost"] is None


async def test_an_identical_file_is_never_held(tmp_path: Path):
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_day": 5.0}
    ) as services:
        drop(tmp_path, "one.jsonl", costing(5))
        await some_turns(services, 4.0)
        drop(tmp_path, "two.jsonl", costing(5))
        await live(services, deliveries=2)
        assert read_receipt(delivered(tmp_path)["two"])["cost"]["amount"] == 0.0


async def test_the_next_round_of_a_job_is_its_own_and_not_held(tmp_path: Path):
    """5 were allowed and 0 spent; another has taken the rest of the day meanwhile."""
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_day": 10.0}
    ) as services:
        services.remote.expire(fraction=0.0)
        drop(tmp_path, "one.jsonl", costing(5, "one"))
        await some_turns(services, 6.0)
        drop(tmp_path, "two.jsonl", costing(5, "two"))
        await live(services, deliveries=2)
        assert read_receipt(delivered(tmp_path)["one"])["rounds"] == 2


def _id(root: Path, name: str) -> str:
    job: str = read_receipt(delivered(root)[name])["job"]
    return job


async def test_a_persons_hold_is_not_exchanged_for_the_budgets_when_the_first_is_cancelled(
    tmp_path,
):
    """The budget's would go by itself; a person's word stands until a person takes it back."""
    async with open_services(
        tmp_path, clock=clock(), prices=DOLLAR, budget={"per_day": 10.0}
    ) as services:
        ledger, remote = services.ledger, services.remote
        remote.batch_seconds = 10_000.0
        drop(tmp_path, "first.jsonl", costing(9))
        await some_turns(services)
        drop(tmp_path, "same.jsonl", costing(9))
        await some_turns(services)
        first, same = (await ledger.unfinished())[0]
        assert same.joined == first.id
        now = services.clock.now()
        held = JobHeld(job=same.id, reason="held", text="anna wants to look at it")
        cancelled = JobCancelled(job=first.id, why=CancelWhy.ASKED, text="anna said so")
        assert await ledger.wish(held, at=now)
        assert await ledger.wish(cancelled, at=now)
        await some_turns(services)
        assert (await ledger.job(same.id)).hold == "held"
        services.clock.advance(DAY)
        await some_turns(services)
        assert len(remote.opened) == 1
        remote.batch_seconds = 10.0
        assert await ledger.wish(JobReleased(job=same.id), at=services.clock.now())
        await live(services, deliveries=2)
        assert len(remote.opened) == 2
