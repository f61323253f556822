"""How stored times are to be read after the wall clock was set."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from batchd.core.model import ShardState
from batchd.store import sql

_DRIFT = 1.0  #: seconds by which two starts may differ: a clock that is kept right, not one set


@dataclass(frozen=True, slots=True)
class Timekeeping:
    """A wall clock, and how far it is ahead of one that nobody sets, which counts from a boot."""

    boot: str
    ahead: float
    now: float


def read_by(
    clock: Timekeeping, anew: Mapping[ShardState, float], connection: sqlite3.Connection
) -> None:
    """Make the stored times those of this clock, within one transaction.

    In the same boot it is known by how much it was set, and all are shifted. Otherwise it isn't,
    and nobody knows how long has been waited: the states in `anew` wait until then at least. Once
    per boot only, or a daemon that is killed again and again would wait for ever.
    """
    known = connection.execute(sql.query("clock")).fetchone()
    if known is None or known["boot"] != clock.boot:
        _begin_anew(clock, anew, connection)
    elif abs(jump := clock.ahead - known["ahead"]) < _DRIFT:
        return  # the old one is kept, so that many small ones are noticed together
    else:
        for name in ("shift_shards", "shift_jobs"):
            connection.execute(sql.query(name), {"jump": jump})
    connection.execute(sql.query("set_clock"), {"boot": clock.boot, "ahead": clock.ahead})


def _begin_anew(
    clock: Timekeeping, anew: Mapping[ShardState, float], connection: sqlite3.Connection
) -> None:
    for state, at in anew.items():
        connection.execute(sql.query("wait_anew"), {"state": str(state), "earliest": at})
    for name in ("no_later_shards", "no_later_jobs"):
        connection.execute(sql.query(name), {"now": clock.now})
