"""Writes a ledger from jobs and shards that are known, and lets it take the old one's place."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchd.core.subjects import Job, Shard
from batchd.store import sql, values
from batchd.store.identity import RESCUED, beside, create, show
from batchd.store.migrations import STEPS, newest
from batchd.store.salvage import DAMAGED, Fact

_RECOVERING = ".recovering"


@dataclass(frozen=True, slots=True)
class Restored:
    """All that a new ledger is to know."""

    root: str
    jobs: Sequence[Job]
    shards: Sequence[Shard]
    tidied: Mapping[str, float] = field(default_factory=dict)  #: jobs without a work folder
    history: Sequence[Fact] = ()
    spend: Sequence[Mapping[str, Any]] = ()  #: rows of the table of sums


def restore(path: Path, restored: Restored, *, at: float) -> list[Path]:
    """Put a ledger of these jobs in the place of `path`; return where what lay there is kept."""
    new = beside(path, _RECOVERING)
    create(new, version=newest(STEPS))
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        # A job may have joined one with a higher id.
        connection.execute("PRAGMA defer_foreign_keys = ON")
        _fill(connection, restored, at)
        connection.execute("COMMIT")
    kept = _set_aside(path, at)
    show(new, path)
    return kept


def _fill(connection: sqlite3.Connection, restored: Restored, at: float) -> None:
    connection.execute(sql.query("create_root"), {"id": restored.root, "at": at})
    for job in restored.jobs:
        # What was delivered was told, or is no news any more.
        beside_job = {"tidied_at": restored.tidied.get(job.id), "told_at": job.delivered_at}
        columns = values.columns(job) | beside_job
        connection.execute(sql.recovery_query("restore_job"), columns)
    for shard in restored.shards:
        columns = values.columns(shard) | {"records": len(shard.rows)}
        connection.execute(sql.recovery_query("restore_shard"), columns)
    for row in restored.spend:
        connection.execute(sql.recovery_query("restore_spend"), row)
    words = ("at", "job", "shard", "event", "facts")
    news = [(at, job.id, None, "LedgerRecovered", "{}") for job in restored.jobs]
    for fact in (*restored.history, *news):
        connection.execute(sql.query("insert_history"), dict(zip(words, fact, strict=True)))


def _set_aside(path: Path, at: float) -> list[Path]:
    """Rename the old files, the database first: a crash in between is "gone", never "older"."""
    sides = [beside(path, side) for side in ("", "-journal", "-wal", "-shm")]
    saved = sorted(path.parent.glob(f"{path.name}{RESCUED}*"))
    kept = []
    for file in (*sides, *saved):
        if file.exists():
            rest = file.name.removeprefix(path.name)
            kept.append(file.rename(beside(path, f"{DAMAGED}{int(at)}{rest}")))
    return kept
