"""What is said of a wish, whatever the job does at that very moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.control import wishes
from batchd.core.events import JobDelivered, PublishStarted
from batchd.core.model import JobState, Pause, ShardState
from batchd.core.subjects import Job
from batchd.runtime.services import Services
from batchd.stages import claim, collect, plan, poll, submit
from tests.control.asking import open_batches
from tests.houses import delivered, drop, live, open_services, read_lines, read_receipt, requests

Publishing = PublishStarted | JobDelivered
STEPS = (claim, plan, submit, poll, collect)


async def until(services: Services, state: JobState) -> Job:
    """Let the stages before delivery run until the only job is in a state."""
    for _ in range(200):
        for stage in STEPS:
            await stage.run_once(services)  # type: ignore[attr-defined]
            await services.crews[stage.NAME].finish()
            if found := await services.ledger.jobs_in(state):
                return found[0]
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
    raise AssertionError(f"no job became {state}")


async def test_what_has_its_last_verdict_is_delivered_with_it(tmp_path: Path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        job = await until(services, JobState.SETTLED)

        said = await wishes.cancel(job, services, by="by anna")
        await live(services, deliveries=1)

        assert (said.changed, said.sentence.split(":")[0]) == (
            False,
            "there is nothing left to cancel",
        )
        assert delivered(tmp_path)["a"].name == f"a--{job.id}"


async def test_cancelled_while_it_is_published_it_appears_once_and_as_it_was(tmp_path: Path):
    """Between PublishStarted and the rename, and between the rename and JobDelivered."""
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await until(services, JobState.SETTLED)
        said = []

        class Racing:
            """The ledger, with somebody who cancels before and after each of the two."""

            def __getattr__(self, name: str):
                return getattr(ledger, name)

            async def move(self, event, *, at):
                return await self.between(ledger.move, event, at=at)

            async def record(self, *events, at):
                return await self.between(ledger.record, *events, at=at)

            async def between(self, write, *events, at):
                publishing = [one for one in events if isinstance(one, Publishing)]
                for event in publishing:
                    await self.race(event.job)
                written = await write(*events, at=at)
                for event in publishing:
                    await self.race(event.job)
                return written

            async def race(self, job: str) -> None:
                said.append(await wishes.cancel(await ledger.job(job), services, by="by anna"))

        ledger, services.ledger = services.ledger, Racing()  # type: ignore[assignment]
        await live(services, deliveries=1)

        assert [one.changed for one in said] == [False] * 4
        assert said[-1].sentence.startswith("it was delivered (completed)")
        assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"


async def test_listed_before_it_went_on_it_is_said_as_it_is_now(tmp_path: Path):
    """A job is read, its rights are looked up, and only then is it asked: it may be delivered."""
    async with open_services(tmp_path) as services:
        await open_batches(services, "a.jsonl")
        early = await services.ledger.job(str(await services.ledger.last_job()))
        services.remote.batch_seconds = 10.0  # type: ignore[attr-defined]  # the fake one
        await live(services, deliveries=1)

        assert not (await wishes.cancel(early, services, by="by anna")).changed
        assert not (await wishes.release(early, services, by="by anna")).changed
        with pytest.raises(wishes.Impossible, match="it was delivered"):
            await wishes.hold(early, services, by="by anna")


async def test_two_who_cancel_at_once_are_one_and_the_first_is_remembered(tmp_path: Path):
    async with open_services(tmp_path) as services:
        await open_batches(services, "a.jsonl")
        early = await services.ledger.job(str(await services.ledger.last_job()))

        await wishes.cancel(early, services, by="by anna")
        await wishes.cancel(early, services, by="by bert")

        assert (await services.ledger.job(early.id)).cancel_text == "by anna"


async def test_several_batches_are_counted_by_what_becomes_of_them(tmp_path: Path):
    async with open_services(tmp_path, batches={"max_requests": 2, "max_open": 2}) as services:
        drop(tmp_path, "a.jsonl", requests(6))
        await until(services, JobState.ACTIVE)
        for _ in range(3):
            await submit.run_once(services)
            await services.crews["submit"].finish()
        job = await services.ledger.job(str(await services.ledger.last_job()))
        states = [shard.state for shard in await services.ledger.shards_of(job.id)]
        assert states == [ShardState.OPEN, ShardState.OPEN, ShardState.PLANNED]

        held = await wishes.hold(job, services, by="by anna")
        said = await wishes.cancel(await services.ledger.job(job.id), services, by="by anna")

        assert held.sentence.startswith("held; 2 batches at the provider go on, and nothing more")
        assert said.sentence.startswith("cancelled; 2 of 3 batches are called off, 1 is not sent;")
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        assert folder.name == f"a--{job.id}.cancelled"
        assert len(read_lines(folder / "results.jsonl")) == 6
        assert len(services.remote.opened) == 2  # type: ignore[attr-defined]


async def test_one_that_joined_leaves_and_the_first_goes_on(tmp_path: Path):
    async with open_services(tmp_path) as services:
        await open_batches(services, "a.jsonl")
        first = str(await services.ledger.last_job())
        lines = requests(2, prefix="a.jsonl")
        drop(tmp_path, "b.jsonl", lines)
        for _ in range(4):
            for stage in (claim, plan):
                await stage.run_once(services)
                await services.crews[stage.NAME].finish()
            services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
        second = await services.ledger.job(str(await services.ledger.last_job()))
        assert second.joined == first

        with pytest.raises(wishes.Impossible, match=f"those of job {first}: hold that one"):
            await wishes.hold(second, services, by="by anna")
        said = await wishes.cancel(second, services, by="by anna")
        services.remote.batch_seconds = 10.0  # type: ignore[attr-defined]
        await live(services, deliveries=2)

        assert said.sentence.startswith(f"cancelled; job {first}, whose answers it was to have,")
        assert {
            name: read_receipt(path)["outcome"] for name, path in delivered(tmp_path).items()
        } == {
            "a": "completed",
            "b": "cancelled",
        }


async def test_what_rests_is_said_in_words(tmp_path: Path):
    both = (Pause.INTAKE, Pause.SUBMISSION)
    async with open_services(tmp_path) as services:
        assert (await wishes.resume(both, services, by="anna")).sentence == (
            "intake and submission did not rest"
        )
        assert (await wishes.pause(both, services, by="anna")).changed
        assert (
            await wishes.pause(both[:1], services, by="anna")
        ).sentence == "intake rests already"
