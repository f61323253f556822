"""What a person asks of a house is recorded where its job has a place for it, and begun at once."""

from __future__ import annotations

from pathlib import Path

from batchd.core.model import JobState, Pause
from batchd.runtime import wishes
from batchd.runtime.services import Services
from tests.control.asking import open_batches
from tests.houses import drop, live, open_services, requests


async def one_open(services: Services) -> str:
    await open_batches(services, "a.jsonl")
    return str(await services.ledger.last_job())


async def wakes(services: Services, stage: str) -> bool:
    """Whether a stage's bell was rung."""
    return await services.bells[stage].wait(0)


async def test_a_cancelled_job_is_marked_with_who_said_so_and_all_stages_look(tmp_path: Path):
    async with open_services(tmp_path) as services:
        job = await one_open(services)
        for bell in services.bells.values():
            bell.ring()
            await bell.wait(0)

        assert await wishes.cancel(job, services, by="anna: wrong prompt")

        found = await services.ledger.job(job)
        assert (found.state, found.cancel_text) == (JobState.ACTIVE, "anna: wrong prompt")
        assert found.cancelled_at == services.clock.now()
        assert all([await wakes(services, name) for name in services.bells])


async def test_what_is_delivered_is_neither_cancelled_nor_held_nor_released(tmp_path: Path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())
        before = await services.ledger.history_of(job)

        for ask in (wishes.cancel, wishes.hold, wishes.release):
            assert not await ask(job, services, by="anna")

        assert await services.ledger.history_of(job) == before


async def test_what_is_cancelled_is_not_held_any_more(tmp_path: Path):
    """It would wait for ever on its way to the end that it was told to come to."""
    async with open_services(tmp_path) as services:
        job = await one_open(services)
        await wishes.cancel(job, services, by="anna")

        assert not await wishes.hold(job, services, by="bert")
        assert (await services.ledger.job(job)).hold is None


async def test_held_and_released(tmp_path: Path):
    async with open_services(tmp_path) as services:
        job = await one_open(services)

        assert await wishes.hold(job, services, by="anna")
        assert (await services.ledger.job(job)).hold == "held"
        assert await wishes.release(job, services, by="bert")
        assert (await services.ledger.job(job)).hold is None


async def test_a_pause_is_the_first_ones_and_outlives_a_restart(tmp_path: Path):
    async with open_services(tmp_path) as services:
        assert await wishes.pause(Pause.INTAKE, services, by="anna")
        assert not await wishes.pause(Pause.INTAKE, services, by="bert")
        assert not await wishes.resume(Pause.SUBMISSION, services, by="bert")

    async with open_services(tmp_path) as services:
        assert await services.ledger.pauses() == {Pause.INTAKE: "anna"}
        assert await wishes.resume(Pause.INTAKE, services, by="bert")
        assert await services.ledger.pauses() == {}
