"""Whether a job may be sent: what it is expected to cost, what is spent and under way, what may be.

All sums are US dollars; days and months are UTC's, as on the bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from batchd.core.reasons import ReasonCode
from batchd.core.words import money

_DAY = 86_400
_CROSSED = 1e-9  #: sums of floats: 0.1 + 0.2 is not more than 0.3


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent; None is no limit."""

    per_job: float | None = None
    per_day: float | None = None
    per_month: float | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is a budget at all."""
        return (self.per_job, self.per_day, self.per_month) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Spending:
    """How the budget stands."""

    today: float = 0.0
    month: float = 0.0
    under_way: float = 0.0  #: what is expected of all that was let through and is not collected
    unknown: int = 0  #: requests under way whose price is not known
    kept_free: float = 0.0  #: for jobs that wait longer


class Waiting(NamedTuple):
    """A job that the budget holds."""

    job: str
    estimate: float | None
    claimed_at: float


class Hold(NamedTuple):
    """Why a job is not sent."""

    reason: ReasonCode
    text: str


def why_held(estimate: float | None, spending: Spending, limits: Limits) -> Hold | None:
    """Hold a job's estimate against the limits; None where it may be sent."""
    if not limits.are_set:
        return None
    if estimate is None:
        text = "there is a budget, and the price of its model is not known"
        return Hold(ReasonCode.COST_UNKNOWN, text)
    told = f"it is expected to cost {money(estimate)} USD"
    if limits.per_job is not None and estimate > limits.per_job + _CROSSED:
        text = f"{told}; a job may cost {money(limits.per_job)} (budget.per_job)"
        return Hold(ReasonCode.OVER_BUDGET, text)
    for limit, spent, when in _periods(spending, limits):
        if estimate + spent + spending.kept_free > limit + _CROSSED:
            text = f"{told}; {money(spent)} of {money(limit)} are spent or under way {when}"
            kept = f", {money(spending.kept_free)} more are for jobs that wait longer"
            return Hold(ReasonCode.OVER_BUDGET, text + (kept if spending.kept_free else ""))
    return None


def _periods(spending: Spending, limits: Limits) -> Iterable[tuple[float, float, str]]:
    if limits.per_month is not None:
        spent = spending.month + spending.under_way
        yield limits.per_month, spent, "this month (budget.per_month)"
    if limits.per_day is not None:
        spent = spending.today + spending.under_way
        yield limits.per_day, spent, "today (budget.per_day)"


def fitting(
    waiting: Sequence[Waiting], spending: Spending, limits: Limits, *, now: float
) -> list[str]:
    """Return which of the jobs that are held may go on, the oldest first."""
    jobs = []
    for one in waiting:
        if why_held(one.estimate, spending, limits) is None:
            jobs.append(one.job)
            under_way = spending.under_way + (one.estimate or 0.0)
            spending = replace(spending, under_way=under_way)
        else:
            spending = behind([one], spending, limits, now=now)
    return jobs


def behind(older: Iterable[Waiting], spending: Spending, limits: Limits, *, now: float) -> Spending:
    """Keep room for older jobs that had their turn.

    Small jobs may pass a large one that does not fit today any more. From the next day on they wait
    behind it: what is under way never ebbs on a busy account, and it would wait for ever. Likewise
    with a month.
    """
    kept = sum(one.estimate or 0.0 for one in older if _comes_first(one, spending, limits, now))
    return replace(spending, kept_free=spending.kept_free + kept)


def _comes_first(one: Waiting, spending: Spending, limits: Limits, now: float) -> bool:
    if one.estimate is None or why_held(one.estimate, Spending(), limits):
        return False  # time will not help it
    held = why_held(one.estimate, replace(spending, kept_free=0.0), replace(limits, per_day=None))
    return one.claimed_at < (month_began(now) if held else day_began(now))


def day_began(now: float) -> float:
    """Return when this day began."""
    return now // _DAY * _DAY


def month_began(now: float) -> float:
    """Return when this month began."""
    first = datetime.fromtimestamp(now, UTC).replace(day=1)
    return day_began(first.timestamp())


def tomorrow(now: float) -> float:
    """Return when the next day begins: a day's budget is new, and perhaps a month's."""
    return day_began(now) + _DAY
