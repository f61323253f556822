"""Reads the ledger from outside: beside a running daemon, or where none runs. It never writes.

Not by the daemon's own classes: those hold the one connection that may write, and bring an event
loop along. A question opens the file, reads, and closes it, so that no checkpoint waits for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from batchd.core.admission import Created
from batchd.core.budget import Spending, Waiting
from batchd.core.errors import ConfigError
from batchd.core.model import Pause
from batchd.core.subjects import Job, Shard
from batchd.store import budget, sql, values
from batchd.store.identity import is_blank

MOST = 20  #: answers to a question that should have one
_BUSY_SECONDS = 2.0


class Part(NamedTuple):
    """A shard, and what its reason says in words."""

    shard: Shard
    text: str | None


class Connection(Protocol):
    """A connection of our own, or the daemon's, which is lent (`control/lent.py`)."""

    def execute(self, statement: str, parameters: Mapping[str, object], /) -> Iterable[sqlite3.Row]:
        """Ask."""
        ...


class Reader:
    """The questions. Every answer is a value."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def jobs_by_prefix(self, prefix: str) -> Sequence[Job]:
        """Return jobs whose id begins like this, some of them."""
        return [values.job(row) for row in self._rows("jobs_by_prefix", prefix=prefix, most=MOST)]

    def jobs_named(self, name: bytes) -> Sequence[Job]:
        """Return jobs whose file had this name, the youngest first, some of them."""
        return [values.job(row) for row in self._rows("jobs_named", name=name, most=MOST)]

    def later_jobs_with(self, sha256: str, *, after: str) -> Sequence[Job]:
        """Return jobs after one whose file had this content, some of them."""
        rows = self._rows("later_jobs_with", sha256=sha256, job=after, most=MOST)
        return [values.job(row) for row in rows]

    def unfinished_jobs(self) -> Sequence[Job]:
        """Return the jobs on their way, oldest first."""
        return [values.job(row) for row in self._rows("unfinished_jobs")]

    def parts_of(self, job: str) -> Sequence[Part]:
        """Return a job's shards."""
        return [_part(row) for row in self._rows("shards_with_text_of", job=job)]

    def live_parts(self) -> Sequence[Part]:
        """Return all shards on their way."""
        return [_part(row) for row in self._rows("live_shards")]

    def parts_by_batch(self, prefix: str) -> Sequence[Part]:
        """Return shards whose batch id begins like this, some of them."""
        return [_part(row) for row in self._rows("shards_by_batch", prefix=prefix, most=MOST)]

    def jobs_listed(
        self, *, state: str | None, since: float, owner: int | None, most: int
    ) -> Sequence[Job]:
        """Return jobs, the youngest first; `state` may be an outcome, too."""
        asked = {"state": state, "since": since, "owner": owner, "most": most}
        return [values.job(row) for row in self._rows("jobs_listed", **asked)]

    def history_of(self, job: str) -> Sequence[dict[str, Any]]:
        """Return what happened to a job, in order."""
        rows = self._rows("history_of", job=job)
        return [dict(row) | {"facts": msgspec.json.decode(row["facts"])} for row in rows]

    def job_counts(self) -> Sequence[tuple[str, str | None, int]]:
        """Return state, outcome and how many jobs have them."""
        return [(row["state"], row["outcome"], row["jobs"]) for row in self._rows("count_jobs")]

    def pauses(self) -> dict[Pause, str]:
        """Return what rests on somebody's word, and whose."""
        return {Pause(row["what"]): row["by"] for row in self._rows("pauses")}

    def rests(self) -> dict[Pause, tuple[str, float]]:
        """Return what rests, on whose word, and since when."""
        return {Pause(row["what"]): (row["by"], row["at"]) for row in self._rows("pauses")}

    def rooms_learned(self, *, since: float) -> dict[str, int]:
        """Return the account's queue limits, tokens by model, as the provider named them."""
        return {row["model"]: row["tokens"] for row in self._rows("rooms", since=since)}

    def created_since(self, since: float) -> Created:
        """Return how many creations of a batch began after a time, and when the first of them."""
        (row,) = self._rows("created_since", since=since)
        return Created(**dict(row))

    def keeps_sums(self) -> bool:
        """Return whether the ledger is new enough to know what was spent."""
        return any(row[0] for row in self._rows("keeps_sums"))

    def spend(self, by: str, since: str) -> Sequence[dict[str, Any]]:
        """Return what was spent since a day, a line for each day, month, model or task."""
        return [dict(row) for row in self._rows("spend", by=by, since=since)]

    def spending(self, now: float) -> Spending:
        """Return how the budget stands, as the daemon counts it."""
        return budget.spending(self._connection, at=now)

    def waiting_for_money(self) -> Sequence[Waiting]:
        """Return the jobs that only the budget holds, the oldest first."""
        return budget.waiting(self._connection)

    def anatomy(self) -> dict[str, Any]:
        """Return how the ledger is made and how much is in it: no name, no word of anybody's."""
        counted = ("count_jobs", "count_shards", "count_events")
        return {
            "tables": {row["name"]: row["sql"] for row in self._rows("tables")},
            **{name: [dict(row) for row in self._rows(name)] for name in counted},
        }

    def _rows(self, question: str, /, **parameters: object) -> Iterator[sqlite3.Row]:
        return iter(self._connection.execute(_questions()[question], parameters))


def _part(row: sqlite3.Row) -> Part:
    return Part(values.shard(row), row["text"])


@cache
def _questions() -> dict[str, str]:
    text = files("batchd.control").joinpath("questions.sql").read_text(encoding="utf-8")
    return sql.statements(text)


@contextmanager
def reading(database: Path) -> Iterator[Reader]:
    """Open the ledger for one question. One that isn't there has no jobs."""
    try:
        with closing(_connect(database)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")  # one moment, for all that is read in the block
            yield Reader(connection)
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{database} can't be read ({error}). If the daemon can't either, it says how to go on."
        ) from error


def _connect(database: Path) -> sqlite3.Connection:
    if is_blank(database):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(sql.schema())
        return connection
    with database.open("rb"):
        pass  # SQLite only says "unable to open"; this says who may not
    return sqlite3.connect(_uri(database), uri=True, isolation_level=None, timeout=_BUSY_SECONDS)


def _uri(database: Path) -> str:
    """Read-only; and immutable where nobody has it open.

    Without a -wal file all is in the one file, and SQLite would make a -wal and a -shm to read it:
    ours, which another user's daemon could not open afterwards.
    """
    has_wal = database.with_name(database.name + "-wal").exists()
    return f"{database.absolute().as_uri()}?mode=ro{'' if has_wal else '&immutable=1'}"
