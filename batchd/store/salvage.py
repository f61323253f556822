"""Reads what is left of a ledger that can't be used any more: from a copy, row by row."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec

from batchd.core.subjects import Job, Shard
from batchd.store import sql, values
from batchd.store.identity import APPLICATION_ID, RESCUED, beside, is_blank
from batchd.store.migrations import STEPS, newest

T = TypeVar("T", Job, Shard)
Fact = tuple[float, str, str | None, str, str]  #: a row of the history

DAMAGED = ".damaged-"  #: what recovery has set aside
#: What a row of nonsense may raise when it is turned into a value.
_NONSENSE = (ValueError, KeyError, IndexError, TypeError, zlib.error, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True)
class Salvage:
    """What could be read, and made sense by itself. Whether it is true is for others to ask."""

    root: str | None = None
    jobs: Mapping[str, Job] = field(default_factory=dict)
    shards: Mapping[str, Sequence[Shard]] = field(default_factory=dict)  #: by job
    history: Sequence[Fact] = ()
    spend: Sequence[Mapping[str, Any]] = ()  #: rows of the table of sums


def remains_of(path: Path) -> Path | None:
    """Return the best that is left of a ledger: saved while it was in use, as it lies, set aside."""
    saved = sorted(path.parent.glob(f"{path.name}{RESCUED}*"))
    if saved:
        return saved[-1]
    if not is_blank(path):
        return path
    aside = [p for p in path.parent.glob(f"{path.name}{DAMAGED}*") if not p.name.endswith(_SIDES)]
    return max(aside, key=lambda p: p.name, default=None)


_SIDES = ("-wal", "-shm", "-journal")


def salvage(source: Path | None) -> Salvage:
    """Read a ledger, or what is left of one. The original is only copied."""
    if source is None:
        return Salvage()
    with TemporaryDirectory(prefix="batchd-recover-") as folder:
        copy = Path(folder) / "batchd.db"
        for side in ("", "-wal", "-journal"):  # the -shm is made anew
            if beside(source, side).exists():
                shutil.copyfile(beside(source, side), beside(copy, side))
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return _read(connection)


def _read(connection: sqlite3.Connection) -> Salvage:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        return Salvage()
    root = next((row["id"] for row in _rows(connection, sql.query("root"))), None)
    if _pragma(connection, "user_version") != newest(STEPS):
        return Salvage(root)  # an older schema's rows are not ours to understand
    jobs = _values(connection, values.job, "salvage_jobs")
    shards: dict[str, list[Shard]] = defaultdict(list)
    for shard in _values(connection, values.shard, "salvage_shards").values():
        shards[shard.job].append(shard)
    for siblings in shards.values():
        siblings.sort(key=lambda shard: shard.number)
    return Salvage(root, jobs, shards, _history(connection), _spend(connection))


def _pragma(connection: sqlite3.Connection, name: str) -> int | None:
    try:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _values(
    connection: sqlite3.Connection, value: Callable[[sqlite3.Row], T], name: str
) -> dict[str, T]:
    found: dict[str, T] = {}
    for direction in (name, f"{name}_backwards"):
        for row in _rows(connection, sql.recovery_query(direction)):
            with suppress(*_NONSENSE):
                made = value(row)
                found.setdefault(made.id, made)
    return found


def _rows(connection: sqlite3.Connection, statement: str) -> Iterator[sqlite3.Row]:
    """Yield rows up to the first that can't be read."""
    with suppress(sqlite3.DatabaseError):
        yield from connection.execute(statement)


def _history(connection: sqlite3.Connection) -> list[Any]:
    return [tuple(row) for row in _rows(connection, sql.recovery_query("salvage_history"))]


def _spend(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
    """Return the sums that make sense: a day, two names, and numbers."""
    rows = [dict(row) for row in _rows(connection, sql.recovery_query("salvage_spend"))]
    return [
        row
        for row in rows
        if all(isinstance(v, str if n in _NAMES else int | float) for n, v in row.items())
    ]


_NAMES = ("day", "task", "model")
