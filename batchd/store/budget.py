"""What the ledger knows of money, asked within one transaction: spent, under way, waiting for room."""

from __future__ import annotations

import sqlite3

from batchd.core import budget
from batchd.core.budget import Hold, Limits, Spending, Waiting
from batchd.store import sql

_NOBODY = ""


def spending(connection: sqlite3.Connection, *, at: float, besides: str = _NOBODY) -> Spending:
    """Return how the budget stands, one job left out that is about to be counted."""
    spent = connection.execute(sql.query("spent"), {"at": at}).fetchone()
    under_way = connection.execute(sql.query("under_way"), {"job": besides}).fetchone()
    return Spending(spent["today"], spent["month"], under_way["cost"], under_way["unknown"])


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Return the jobs that only the budget holds, the oldest first."""
    rows = connection.execute(sql.query("held_by_budget"))
    return [Waiting(row["id"], row["estimate"], row["claimed_at"]) for row in rows]


def why_held(
    connection: sqlite3.Connection, job: str, estimate: float | None, limits: Limits, *, at: float
) -> Hold | None:
    """Hold a job that is being planned against the limits, and those that wait longer before it."""
    older = [one for one in waiting(connection) if one.job < job]
    now = spending(connection, at=at, besides=job)
    return budget.why_held(estimate, budget.behind(older, now, limits, now=at), limits)


def fitting(connection: sqlite3.Connection, limits: Limits, *, at: float) -> list[str]:
    """Return the jobs that the budget held and has room for now."""
    held = waiting(connection)
    return budget.fitting(held, spending(connection, at=at), limits, now=at) if held else []


def unpriced(connection: sqlite3.Connection) -> list[str]:
    """Return the jobs that are held because nobody knew their price."""
    return [one.job for one in waiting(connection) if one.estimate is None]
