"""A job whose task is broken, or gone, waits for its operator, keeps nobody out, and is never lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batchd.core.events import JobCancelled
from batchd.core.model import CancelWhy, JobState
from batchd.core.reasons import ReasonCode
from batchd.stages import claim, collect, deliver, plan, poll, submit
from tests.control.asking import ask
from tests.dropped_tables import SCHEMA, claimed_table, table
from tests.houses import delivered, live, read_lines, write_task
from tests.stages.steps import step
from tests.stages.table_house import JOB, House, checked
from tests.workbooks import package


@pytest.mark.parametrize("trouble", ["broken", "gone"])
async def test_a_job_whose_task_is_broken_or_gone_waits_until_that_is_mended(
    tmp_path: Path, trouble: str
):
    house = House(tmp_path, SCHEMA)
    async with house.open() as services:
        house.table(table(3))
        await claim.run_once(services)
        task = write_task(tmp_path, "judge", "prompt = 'no model'")
        if trouble == "gone":
            task.unlink()
        for _ in range(3):
            assert await step(services, plan) == 0
            services.clock.advance(5.0)  # type: ignore[attr-defined]
        assert (await services.ledger.job(JOB)).state is JobState.CLAIMED
        assert list(services.waiting_for_task) == [JOB]

        write_task(tmp_path, "judge", SCHEMA)
        assert await step(services, plan) == 1
        assert services.waiting_for_task == {}
        await live(services, deliveries=1)
    checked(*delivered(tmp_path).values(), 3)


async def test_a_folder_that_wants_a_library_is_built_once_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A new environment, made without the extra while answers were on their way."""
    house = House(tmp_path, SCHEMA)
    rows = "".join(f"<row><c><v>{n}</v></c>{cell(f'text {n}')}</row>" for n in range(1, 4))
    whole = package(tmp_path / "a.xlsx", f"<row>{cell('key')}{cell('text')}</row>{rows}")
    async with house.open() as services:
        claimed_table(tmp_path, "judge", "a.xlsx", whole.read_bytes(), job=JOB)

        await step(services, claim, plan)
        monkeypatch.setitem(sys.modules, "xlsxwriter", None)  # as where it is not installed
        for _ in range(4):
            await step(services, submit, poll, collect, deliver)
            services.clock.advance(60.0)  # type: ignore[attr-defined]
        assert (await services.ledger.job(JOB)).state is JobState.SETTLED
        reason = ask(tmp_path, JOB, now=services.clock.now()).reason
        assert reason.code is ReasonCode.WAITING_FOR_TASK
        assert "Excel files need xlsxwriter" in reason.sentence

        monkeypatch.undo()
        services.clock.advance(60.0)  # type: ignore[attr-defined]
        await live(services, deliveries=1)
    (folder,) = delivered(tmp_path).values()
    assert len(read_lines(folder / "results.jsonl")) == 3
    assert (folder / "results.xlsx").exists()


def cell(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


async def test_those_that_wait_for_their_task_keep_nobody_else_out(tmp_path: Path):
    house = House(tmp_path, SCHEMA)
    async with house.open() as services:
        for number in range(9):
            claimed_table(tmp_path, "nothing", "a.csv", table(1), job=f"0aaaa{number}")
        house.table(table(2), job="0bbbbb", name="b.csv")
        for _ in range(4):
            await step(services, claim, plan)
        assert (await services.ledger.job("0bbbbb")).state is JobState.ACTIVE
        assert len(services.waiting_for_task) == 9


async def test_one_that_is_cancelled_while_it_waits_for_its_task_goes_back(tmp_path: Path):
    house = House(tmp_path, "prompt = 'no model'")
    async with house.open() as services:
        house.table(table(2))
        await step(services, claim, plan)
        why = JobCancelled(job=JOB, why=CancelWhy.ASKED, text="enough")
        assert await services.ledger.wish(why, at=services.clock.now())
        await live(services, deliveries=1)
    (folder,) = delivered(tmp_path).values()
    assert (folder / "input" / "a.csv").read_text() == table(2)
    assert "cancelled before it could be read" in (folder / "error.txt").read_text()
