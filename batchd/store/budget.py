"""What the ledger knows of money, asked within one transaction: spent, under way, waiting for room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from batchd.core import budget
from batchd.core.budget import Hold, Limits, Spending, Waiting
from batchd.store import sql

_NOBODY = ""


class Connection(Protocol):
    """The ledger's own, or one of those who only ask."""

    def execute(self, statement: str, parameters: Mapping[str, object], /) -> Iterable[Any]:
        """Run one statement."""
        ...


def spending(connection: Connection, *, at: float, besides: str = _NOBODY) -> Spending:
    """Return how the budget stands, one job left out that is about to be counted."""
    (spent,) = connection.execute(sql.query("spent"), {"at": at})
    (under_way,) = connection.execute(sql.query("under_way"), {"job": besides})
    return Spending(spent["today"], spent["month"], under_way["cost"], under_way["unknown"])


def waiting(connection: Connection) -> list[Waiting]:
    """Return the jobs that only the budget holds, the oldest first."""
    rows = connection.execute(sql.query("held_by_budget"), {})
    return [Waiting(row["id"], row["estimate"], row["claimed_at"]) for row in rows]


def why_held(
    connection: Connection, job: str, estimate: float | None, limits: Limits, *, at: float
) -> Hold | None:
    """Hold a job that is being planned against the limits, and those that wait longer before it."""
    older = [one for one in waiting(connection) if one.job < job]
    now = spending(connection, at=at, besides=job)
    return budget.why_held(estimate, budget.behind(older, now, limits, now=at), limits)


def fitting(connection: Connection, limits: Limits, *, at: float) -> list[str]:
    """Return the jobs that the budget held and has room for now."""
    held = waiting(connection)
    return budget.fitting(held, spending(connection, at=at), limits, now=at) if held else []


def unpriced(connection: Connection) -> list[str]:
    """Return the jobs that are held because nobody knew their price."""
    return [one.job for one in waiting(connection) if one.estimate is None]
