"""One connection, one thread, whole transactions. Nobody else opens the database for writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import anyio

from batchd.core.errors import ConfigError
from batchd.store import sql

APPLICATION_ID = 0x62746364  # "btcd": tells our file from any other SQLite database
SCHEMA_VERSION = 1

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Database:
    """A read-write connection. Each piece of work runs whole in the database's own thread.

    A task cancelled between two statements would leave its transaction open for the next one, and
    two tasks that share a connection commit each other's halves. So a transaction is one function,
    under a lock, shielded: cancelled means "nobody waits for it", never "half of it happened".
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = anyio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or make the ledger at `path`. Raises `ConfigError` for a file that isn't ours."""
        with anyio.CancelScope(shield=True):  # a cancelled connect leaks its thread
            try:
                database = cls(await aiosqlite.connect(path, isolation_level=None))
                await database._prepare()
            except sqlite3.DatabaseError as error:
                raise ConfigError(
                    f"{path} can't be used as the ledger: {error}. Restore it from a backup, or"
                    " move it away together with var/work to begin anew."
                ) from error
        return database

    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it, or nothing and the error."""
        return await self._run(lambda connection: _transaction(connection, work))

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""
        return await self._run(work)

    async def close(self) -> None:
        """Write the log back into the file and end the thread."""
        with anyio.CancelScope(shield=True):
            await self._connection.close()

    async def _prepare(self) -> None:
        try:
            await self._run(_prepare)
        except BaseException:
            await self.close()
            raise

    async def _run(self, work: Work[T]) -> T:
        with anyio.CancelScope(shield=True):
            await self._lock.acquire()
            try:
                # Naughty but whole: the library's own way into its thread. The public methods
                # are one hop per statement, and a transaction would be many.
                execute: Any = self._connection._execute
                result: T = await execute(work, self._connection._conn)
            finally:
                self._lock.release()
        return result


def _transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A full disk rolls back by itself; then there is nothing left to roll back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA foreign_keys = ON")
    if _is_empty(connection):
        _create(connection)
    _recognise(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: with NORMAL the last commits may vanish at power loss, and a vanished
    # SubmitStarted is a batch paid for and forgotten.
    connection.execute("PRAGMA synchronous = FULL")
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged ({verdict})")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_schema").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; {sql.schema()}"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _recognise(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ConfigError("the ledger (var/batchd.db) is another program's database")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"the ledger was written by a newer batchd (schema {version}, this one knows"
            f" {SCHEMA_VERSION}): start the newer one"
        )
