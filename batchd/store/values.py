"""Between values and columns: what a row set or a tuple of errors looks like in SQLite."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

import msgspec

from batchd.core.model import BatchError, BatchStatus, CancelWhy, Counts, JobState, ShardState
from batchd.core.names import shown
from batchd.core.rows import RowSet
from batchd.core.sharding import ShardPlan
from batchd.core.subjects import Job, OpenShard, Shard
from batchd.core.usage import ModelUsage

# Made once: rows are read by the thousand.
_NAMES = {kind: frozenset(field.name for field in fields(kind)) for kind in (Job, Shard)}
_COUNTS = msgspec.json.Decoder(Counts)
_ERRORS = msgspec.json.Decoder(tuple[BatchError, ...])
_USAGE = msgspec.json.Decoder(dict[str, ModelUsage])
_NONE: Mapping[str, Any] = {}
_NO_ROWS = RowSet()


def columns(value: Any) -> dict[str, Any]:
    """Turn a dataclass into SQL parameters of the same names."""
    return {field.name: _column(getattr(value, field.name)) for field in fields(value)}


def facts(event: Any) -> str:
    """Turn an event into the JSON that history keeps: small, and for people."""
    named = {field.name: _fact(getattr(event, field.name)) for field in fields(event)}
    return _json({name: fact for name, fact in named.items() if fact not in (None, {}, [], ())})


def job(row: sqlite3.Row) -> Job:
    """Turn a row of `jobs` into a Job."""
    values = _picked(row, Job)
    values["state"] = JobState(row["state"])
    for name in {"verbatim", "waived"} & values.keys():
        values[name] = bool(row[name])
    for name in {"repairs", "summary", "warnings"} & values.keys():
        values[name] = msgspec.json.decode(row[name])
    if values.get("cancel_why"):
        values["cancel_why"] = CancelWhy(values["cancel_why"])
    values["problems"] = msgspec.json.decode(row["problems"]) if row["problems"] else None
    return Job(**values)


def shard(row: sqlite3.Row) -> Shard:
    """Turn a row of `shards` into a Shard."""
    values = _picked(row, Shard)
    values["state"] = ShardState(row["state"])
    values["status"] = BatchStatus(row["status"]) if row["status"] else None
    values["counts"] = _COUNTS.decode(row["counts"])
    # Most have none of these, and there may be ten thousand in memory: they share one nothing.
    values["errors"] = _ERRORS.decode(row["errors"]) if row["errors"] != "[]" else ()
    values["usage"] = _USAGE.decode(row["usage"]) if row["usage"] != "{}" else _NONE
    values["oddities"] = msgspec.json.decode(row["oddities"]) if row["oddities"] != "{}" else _NONE
    for name in ("rows", "again", "uncounted"):
        values[name] = RowSet.decode(row[name]) if row[name] is not None else _NO_ROWS
    for name in ("job", "endpoint", "model"):
        values[name] = sys.intern(row[name])
    return Shard(**values)


def open_shards(rows: Iterable[sqlite3.Row]) -> list[OpenShard]:
    """Turn such rows into values that share what is the same: most jobs have many of them."""
    jobs, counts = dict[str, str](), dict[str, Counts]()
    return [_open_shard(row, jobs, counts) for row in rows]


def _open_shard(row: sqlite3.Row, jobs: dict[str, str], counts: dict[str, Counts]) -> OpenShard:
    id_, job, batch, status, said, *times = row
    if said not in counts:
        counts[said] = _COUNTS.decode(said)
    known = BatchStatus(status) if status else None
    return OpenShard(id_, jobs.setdefault(job, job), batch, known, counts[said], *times)


def _picked(row: sqlite3.Row, kind: type[Job | Shard]) -> dict[str, Any]:
    # An older ledger, read from outside or salvaged, has not every column.
    wanted = _NAMES[kind]
    pairs = zip(row.keys(), row, strict=True)
    return {name: value for name, value in pairs if name in wanted}


def _column(value: Any) -> Any:
    match value:
        case RowSet():
            return value.encode() if value else None
        case StrEnum():
            return str(value)
        case bool():
            return int(value)
        case (ShardPlan(), *_):
            return None  # a plan becomes rows of its own
        case Mapping() | tuple() | Counts():
            return _json(value)
        case _:
            return value


def _fact(value: Any) -> Any:
    match value:
        case RowSet():
            return len(value)
        case bytes():
            return shown(value)
        case ShardPlan():
            return {"endpoint": value.endpoint, "model": value.model, "requests": value.requests}
        case tuple():
            return [_fact(item) for item in value]
        case _:
            return value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def spent(used: ModelUsage) -> dict[str, Any]:
    """Turn what a model took into a row of `spend`, but for its day, task and model."""
    cost = used.cost or 0.0
    # Sums must not tell of a saving, or a loss, where one of the two prices is not known.
    direct = used.direct_cost if used.cost is not None else None
    return {
        **msgspec.structs.asdict(used.usage),
        "requests": used.requests,
        "cost": cost,
        "direct_cost": cost if direct is None else direct,
        "unpriced": used.requests if used.cost is None else 0,
    }
