"""Stored times are those of a clock that may have been set since."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.core.model import ShardState
from batchd.store.timekeeping import Timekeeping
from tests.store.lives import a_planned_job, open_ledger, plan, to_open

ANEW = {ShardState.OPEN: 5_000.0}


async def looks_after(tmp_path: Path, *clocks: Timekeeping) -> float:
    """When an open shard is looked at, after its times were read by these clocks."""
    tmp_path.mkdir(exist_ok=True)
    async with open_ledger(tmp_path) as ledger:
        (shard,) = await a_planned_job(ledger, plan(1))
        await ledger.record(*to_open(shard), at=20.0)
        for clock in clocks:
            await ledger.read_by(clock, anew=ANEW)
        return (await ledger.shard(shard)).due_at


async def test_in_the_same_boot_a_clock_that_was_set_shifts_what_is_due(tmp_path: Path):
    first = Timekeeping(boot="a", ahead=100.0, now=200.0)
    due = await looks_after(tmp_path / "not", first)
    for folder, jump in (("forward", 3600.0), ("back", -3600.0)):
        later = Timekeeping(boot="a", ahead=100.0 + jump, now=210.0 + jump)
        assert await looks_after(tmp_path / folder, first, later) == pytest.approx(due + jump)


async def test_a_clock_that_is_kept_right_shifts_nothing(tmp_path: Path):
    first = Timekeeping(boot="a", ahead=100.0, now=200.0)
    due = await looks_after(tmp_path / "not", first)
    little = Timekeeping(boot="a", ahead=100.5, now=210.0)
    assert await looks_after(tmp_path / "little", first, little) == due


async def test_after_another_boot_a_wait_begins_anew_once(tmp_path: Path):
    again = Timekeeping(boot="b", ahead=0.0, now=300.0)
    first = Timekeeping(boot="a", ahead=100.0, now=200.0)
    assert await looks_after(tmp_path, first, again, again) == ANEW[ShardState.OPEN]
