"""When things are looked at next."""

import math

import pytest

from batchd.core.pacing import backoff, has_expired, poll_interval, room_backoff

DAY = 86_400.0


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


def test_for_room_it_is_asked_a_minute_later_at_the_soonest():
    assert [room_backoff(refusals) for refusals in (1, 2, 3, 9)] == [64, 128, 256, 300]
    assert room_backoff(1, asked_for=500) == 500


@pytest.mark.parametrize(
    ("keep", "lasts"), [(7 * DAY, 6 * DAY), (DAY, DAY / 2), (3600.0, 1800.0), (None, 29 * DAY)]
)
def test_an_uploaded_file_is_good_while_a_batch_could_still_end_before_it_expires(keep, lasts):
    assert not has_expired(1000.0, 1000.0 + lasts - 1, keep=keep)
    assert has_expired(1000.0, 1000.0 + lasts, keep=keep)
    assert not has_expired(None, 1e12, keep=keep)
