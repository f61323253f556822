"""What may be sent, by what is spent, under way and allowed; and who goes first."""

from datetime import UTC, datetime

import pytest

from batchd.core.budget import (
    Limits,
    Spending,
    Waiting,
    behind,
    day_began,
    fitting,
    month_began,
    tomorrow,
    why_held,
)
from batchd.core.reasons import ReasonCode

DAY = 86_400.0
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
LIMITS = Limits(per_job=20.0, per_day=50.0, per_month=500.0)


def test_what_fits_is_not_held():
    assert why_held(12.4, Spending(today=30.0, month=400.0, under_way=7.6), LIMITS) is None


@pytest.mark.parametrize(
    ("estimate", "spending", "text"),
    [
        (
            20.01,
            Spending(),
            "it is expected to cost 20.01 USD; a job may cost 20.00 (budget.per_job)",
        ),
        (
            12.4,
            Spending(today=30.0, month=30.0, under_way=8.1),
            (
                "it is expected to cost 12.40 USD; 38.10 of 50.00 are spent or under way today"
                " (budget.per_day)"
            ),
        ),
        (
            0.01,
            Spending(today=0.0, month=499.995),
            (
                "it is expected to cost 0.0100 USD; 500.00 of 500.00 are spent or under way this"
                " month (budget.per_month)"
            ),
        ),
        (
            12.4,
            Spending(kept_free=40.0),
            (
                "it is expected to cost 12.40 USD; 0.00 of 50.00 are spent or under way today"
                " (budget.per_day), 40.00 more are for jobs that wait longer"
            ),
        ),
    ],
)
def test_what_would_exceed_is_held_and_told_the_sums(estimate, spending, text):
    assert why_held(estimate, spending, LIMITS) == (ReasonCode.OVER_BUDGET, text)


def test_a_limit_may_be_reached_and_floats_do_not_cross_it():
    assert why_held(0.1, Spending(today=0.2), Limits(per_day=0.3)) is None


def test_an_unknown_price_is_held_where_there_is_a_budget_and_only_there():
    held = why_held(None, Spending(), Limits(per_month=1.0))
    assert held is not None
    assert held.reason is ReasonCode.COST_UNKNOWN
    assert why_held(None, Spending(month=1e6), Limits()) is None


def waiting(job: str, estimate: float | None, *, days: float = 0.0) -> Waiting:
    return Waiting(job, estimate, NOON - days * DAY)


def test_room_goes_to_the_oldest_first_and_is_given_once():
    held = [waiting("a", 20.0), waiting("b", 20.0), waiting("c", 10.0), waiting("d", 1.0)]
    assert fitting(held, Spending(), LIMITS, now=NOON) == ["a", "b", "c"]


def test_a_small_one_may_pass_a_large_one_that_does_not_fit_today():
    held = [waiting("large", 20.0), waiting("small", 1.0)]
    assert fitting(held, Spending(today=45.0), LIMITS, now=NOON) == ["small"]


def test_from_the_next_day_on_nobody_passes_it():
    held = [waiting("large", 20.0, days=1), waiting("small", 1.0)]
    assert fitting(held, Spending(under_way=45.0), LIMITS, now=NOON) == []
    assert fitting(held, Spending(under_way=30.0), LIMITS, now=NOON) == ["large"]
    kept = behind(held[:1], Spending(under_way=20.0), LIMITS, now=NOON)
    assert kept.kept_free == 20.0
    assert why_held(10.0, kept, LIMITS) is None  # there is room for both


def test_one_that_waits_for_next_month_keeps_nobody_out_of_this_one():
    """Else one large job would stop an account for weeks."""
    held = [waiting("large", 20.0, days=5), waiting("small", 1.0)]
    assert fitting(held, Spending(month=490.0), LIMITS, now=NOON) == ["small"]
    old = [waiting("large", 20.0, days=25), waiting("small", 1.0)]
    assert fitting(old, Spending(month=490.0), LIMITS, now=NOON) == []


def test_one_that_time_does_not_help_keeps_nobody_out():
    held = [waiting("never", 21.0, days=9), waiting("unknown", None, days=9), waiting("c", 1.0)]
    assert fitting(held, Spending(), LIMITS, now=NOON) == ["c"]


def test_without_a_budget_everything_fits():
    held = [waiting("a", 1e9), waiting("b", None)]
    assert fitting(held, Spending(), Limits(), now=NOON) == ["a", "b"]


def test_days_and_months_are_those_of_utc():
    assert day_began(NOON) == NOON - DAY / 2
    assert tomorrow(NOON) == NOON + DAY / 2
    assert month_began(NOON) == datetime(2026, 11, 1, tzinfo=UTC).timestamp()
