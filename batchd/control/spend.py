"""What was spent, by day, month, model or task; and how the budget stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from batchd.control.ledger import Reader
from batchd.core.budget import Limits, Spending
from batchd.core.errors import ConfigError

SCHEMA = 1


class By(StrEnum):
    """What is added up in one line."""

    DAY = "day"
    MONTH = "month"
    MODEL = "model"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Spent:
    """One line. Cost and saving are US dollars, of what has a price."""

    key: str  #: the day, month, model or task; "" is no task
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float = 0.0
    saving: float = 0.0  #: against asking without batches, where that price is known
    unpriced: int = 0  #: requests of which the price is not known


@dataclass(frozen=True, slots=True)
class Spend:
    """What `batchd spend` shows."""

    by: By
    lines: Sequence[Spent]
    spending: Spending
    limits: Limits

    @property
    def total(self) -> Spent:
        """All lines together."""
        names = [field.name for field in fields(Spent) if field.name != "key"]
        return Spent("total", **{n: sum(getattr(one, n) for one in self.lines) for n in names})


def spend_of(reader: Reader, *, by: By, since: str, limits: Limits, now: float) -> Spend:
    """Add up what was spent since a day ("2026-11-21", of UTC; "" is ever)."""
    spending = standing(reader, now=now)
    if spending is None:
        raise ConfigError(
            "this ledger was written by an older batchd, which kept no sums; the daemon brings it up"
            " to date when it starts (batchd run)"
        )
    lines = [Spent(**row) for row in reader.spend(str(by), since)]
    return Spend(by, lines, spending, limits)


def standing(reader: Reader, *, now: float) -> Spending | None:
    """Return how the budget stands; None where the ledger is too old to tell."""
    return reader.spending(now) if reader.keeps_sums() else None


def as_dict(spend: Spend, *, source: str) -> dict[str, Any]:
    """`batchd spend --json`."""
    return {
        "schema": SCHEMA,
        "by": spend.by,
        "currency": "USD",
        "lines": [_line(one) for one in spend.lines],
        "total": {k: v for k, v in _line(spend.total).items() if k != "key"},
        "budget": budget_as_dict(spend.spending, spend.limits),
        "source": source,
    }


def budget_as_dict(spending: Spending, limits: Limits) -> dict[str, Any]:
    """How the budget stands, for a program: null is no limit."""
    return {
        "spent_today": round(spending.today, 8),
        "spent_this_month": round(spending.month, 8),
        "under_way": round(spending.under_way, 8),
        "unpriced_under_way": spending.unknown,
        **asdict(limits),
    }


def _line(one: Spent) -> dict[str, Any]:
    told = asdict(one)
    return {**told, "cost": round(one.cost, 8), "saving": round(one.saving, 8)}
