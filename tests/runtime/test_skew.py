"""A file system with another clock than ours is told of, once, and that is all (R28)."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from batchd.runtime.skew import Skews, measured, outside, watch_clocks
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(
    ("stamped", "skew"), [(99.0, -1.0), (100.0, 0.0), (107.0, 0.0), (110.0, 0.0), (130.0, 20.0)]
)
def test_only_a_time_outside_of_its_moment_is_skewed(stamped: float, skew: float):
    assert outside(stamped, before=100.0, after=110.0) == skew


@pytest.mark.parametrize("ours", [-3600.0, -10.0, 10.0, 3600.0])
def test_a_real_file_is_measured_against_our_clock(tmp_path: Path, ours: float):
    found = measured(tmp_path, lambda: time.time() + ours)
    assert found == pytest.approx(-ours, abs=1.0)
    assert list(tmp_path.iterdir()) == [], "the probe is gone"


def test_this_machines_own_disk_has_our_clock(tmp_path: Path):
    # The kernel stamps files by the tick before: a few milliseconds are no skew.
    assert abs(measured(tmp_path, time.time)) < 0.1


def test_each_change_is_told_once(tmp_path: Path):
    ahead = 0.0
    skews = Skews([tmp_path], lambda: time.time() + ahead)
    told = []
    for ahead in (0.0, 4.0, 60.0, 61.0, 0.0, 0.0, -60.0):  # noqa: B007  # the lambda sees it
        told.append([round(seconds) for _, seconds in skews.changes()])
    assert told == [[], [], [-60], [], [0], [], [60]]


def test_a_folder_that_can_not_be_written_to_is_passed_over(tmp_path: Path):
    skews = Skews([tmp_path / "gone", tmp_path], lambda: time.time() + 60)
    assert [folder for folder, _ in skews.changes()] == [tmp_path]


async def test_the_log_says_it_at_the_start_and_when_it_is_over(tmp_path: Path):
    ahead, clock = 60.0, FakeClock()
    with capture_logs() as said:
        async with anyio.create_task_group() as tasks:

            async def until(count: int) -> None:
                with anyio.fail_after(10):
                    while len(said) < count:
                        clock.advance(600.0)
                        await anyio.lowlevel.checkpoint()

            tasks.start_soon(
                lambda: watch_clocks([tmp_path], clock, wall=lambda: time.time() + ahead)
            )
            await until(1)
            ahead = 0.0
            await until(2)
            tasks.cancel_scope.cancel()
    assert [event["event"] for event in said] == ["folders.clock_skew", "folders.clock_agrees"]
    assert said[0]["log_level"] == "warning"
    assert said[0]["seconds"] == pytest.approx(-60, abs=1)
