"""When somebody should hear of a batch that does not end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchd.core.model import BatchStatus, ShardState
from batchd.core.stuck import is_stuck, stuck_at
from tests.core.test_admission import NOW, shard

HOUR = 3600.0
OPEN = shard("a", state=ShardState.OPEN, opened_at=NOW, status=BatchStatus.IN_PROGRESS)


def test_a_batch_may_take_its_day_and_some_hours():
    assert not is_stuck(OPEN, NOW + 26.9 * HOUR)
    assert is_stuck(OPEN, NOW + 27 * HOUR)


def test_what_the_provider_says_of_its_end_counts_more_than_a_day():
    week = replace(OPEN, expires_at=NOW + 7 * 24 * HOUR)
    assert stuck_at(week) == NOW + (7 * 24 + 3) * HOUR


@pytest.mark.parametrize("status", [BatchStatus.FINALIZING, BatchStatus.CANCELLING])
def test_what_takes_minutes_is_stuck_after_hours(status):
    there = replace(OPEN, status=status, status_at=NOW + 5 * HOUR)
    assert stuck_at(there) == NOW + 7 * HOUR
    assert stuck_at(replace(there, status_at=None)) == NOW + 27 * HOUR


def test_what_is_not_open_is_not_stuck():
    assert stuck_at(replace(OPEN, state=ShardState.ENDED)) is None
    assert stuck_at(replace(OPEN, opened_at=None)) is None
    assert not is_stuck(shard("a"), NOW + 1e9)
