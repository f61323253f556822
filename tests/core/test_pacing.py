"""When things are looked at next."""

import math

import pytest

from batchd.core.pacing import backoff, poll_interval


def interval(age: float, *, jitter: float = 0.5) -> float:
    return poll_interval(age, shortest=15, longest=300, jitter=jitter)


def test_young_batches_are_looked_at_soon_and_old_ones_slowly():
    assert interval(-100) == interval(0) == interval(150) == 15
    assert interval(1000) == pytest.approx(100)
    assert interval(3000) == interval(86_400) == 300


def test_looks_are_spread_by_a_tenth_each_way():
    assert interval(1000, jitter=0) == pytest.approx(90)
    assert interval(1000, jitter=1) == pytest.approx(110)


def test_waiting_doubles_up_to_five_minutes():
    assert [backoff(tries) for tries in range(1, 11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert backoff(10_000) == 300
    assert 0 < backoff(0) <= 1


def test_what_the_provider_asks_for_is_given_and_never_less_than_ours():
    assert backoff(1, asked_for=45) == 45
    assert backoff(7, asked_for=45) == 64
    assert backoff(1, asked_for=0) == backoff(1, asked_for=math.nan) == 1
