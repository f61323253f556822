"""Somebody tidies up in var/work while a table is on its way: it heals, or says what to put back."""

from __future__ import annotations

from pathlib import Path

from batchd.core.model import ShardState
from batchd.core.reasons import ReasonCode
from batchd.runtime.services import Services
from tests.control.asking import ask
from tests.dropped_tables import GROUPED, Careless, table
from tests.houses import delivered, live, turn, write_task
from tests.stages.table_house import JOB, House, checked


async def _until_open(services: Services) -> None:
    for _ in range(50):
        if await services.ledger.shards_in(ShardState.OPEN):
            return
        await turn(services)
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
    raise AssertionError("no batch was opened")


async def _for_a_while(services: Services) -> ReasonCode:
    """Let everything happen that can, and return why the job is where it is."""
    for _ in range(30):
        await turn(services)
        services.clock.advance(5.0)  # type: ignore[attr-defined]  # the fake one
    root = services.folders.root
    return ask(root, JOB, now=services.clock.now()).reason.code


async def test_a_kept_task_that_is_gone_is_kept_anew_where_the_task_is_the_same(tmp_path: Path):
    """Its answers, paid for, waited for ever."""
    house = House(tmp_path, GROUPED)
    async with house.open() as services:
        house.table(table(7))
        await _until_open(services)
        services.work.task_file(JOB).unlink()
        assert ask(tmp_path, JOB, now=services.clock.now()).reason.code is not (
            ReasonCode.KEPT_TASK_GONE
        )
        await live(services, deliveries=1)
    checked(next(iter(delivered(tmp_path).values())), 7)


async def test_one_whose_task_was_edited_says_what_to_put_back(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    async with house.open() as services:
        house.table(table(7))
        await _until_open(services)
        services.work.task_file(JOB).unlink()
        write_task(tmp_path, "judge", GROUPED.replace("Judge:", "Say now:"))
        assert await _for_a_while(services) is ReasonCode.KEPT_TASK_GONE
        write_task(tmp_path, "judge", GROUPED)
        await live(services, deliveries=1)
    checked(next(iter(delivered(tmp_path).values())), 7)


async def test_a_table_that_is_gone_between_two_rounds_is_said_to_be(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    house.remote.answers = Careless("2")
    async with house.open() as services:
        house.table(table(7))
        await _until_open(services)
        dropped = services.work.input(JOB)
        assert dropped is not None
        aside = dropped.rename(tmp_path / "aside.csv")
        assert await _for_a_while(services) is ReasonCode.INPUT_MISSING
        aside.rename(dropped)
        await live(services, deliveries=1)
    checked(next(iter(delivered(tmp_path).values())), 7)
