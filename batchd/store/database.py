"""One connection, one thread, whole transactions. Nobody else opens the database for writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import anyio
import structlog
from anyio.lowlevel import checkpoint

from batchd.store.failures import LedgerBusy, LedgerGone, named
from batchd.store.guard import Guard
from batchd.store.identity import create, must_be_whole
from batchd.store.migrations import STEPS, Step, migrate, newest

log = structlog.get_logger()

_BUSY_MS = 1000  # in the database's thread; between two tries a stopping daemon may leave
_SAY_EVERY = 30  # tries

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Database:
    """A read-write connection. Each piece of work runs whole in the database's own thread.

    A task cancelled between two statements would leave its transaction open for the next one, and
    two tasks that share a connection commit each other's halves. So a transaction is one function,
    under a lock, shielded: cancelled means "nobody waits for it", never "half of it happened".
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = anyio.Lock()
        self._guard: Guard | None = None
        self.lost: LedgerGone | None = None  #: set once, and for good: nothing can be recorded
        self.is_lost = anyio.Event()

    @classmethod
    async def open(cls, path: Path, *, steps: Sequence[Step] = STEPS) -> Database:
        """Open or make the ledger at `path`, migrated by `steps`.

        Raises `LedgerDamaged` for one that must be recovered, `ConfigError` for a file that isn't
        ours or can't be used, and leaves both as they are.
        """
        version = must_be_whole(path, newest=newest(steps))
        if version:
            migrate(path, version=version, steps=steps)
        else:
            create(path, version=newest(steps))
        with anyio.CancelScope(shield=True):  # a cancelled connect leaks its thread
            database = cls(await aiosqlite.connect(path, isolation_level=None), path)
            await database._prepare()
        return database

    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it, or nothing and the error.

        Waits while another process holds the database. Raises `LedgerGone` where it isn't ours any
        more, and another OSError where the disk refuses: then nothing happened.
        """
        return await self._patiently(self._transaction(work))

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""
        return await self._patiently(work)

    async def check(self) -> None:
        """Raise `LedgerGone` where the files are not those that were opened."""
        await self._patiently(self._must_be_there)

    async def close(self) -> None:
        """Write the log back into the file and end the thread."""
        with anyio.CancelScope(shield=True):
            await self._connection.close()

    async def _prepare(self) -> None:
        try:
            await self._patiently(_prepare)
            self._guard = Guard.of(self._path)
        except BaseException:
            await self.close()
            raise

    def _transaction(self, work: Work[T]) -> Work[T]:
        def whole(connection: sqlite3.Connection) -> T:
            self._must_be_there(connection)
            return _transaction(connection, work)

        return whole

    def _must_be_there(self, connection: sqlite3.Connection) -> None:
        if self.lost is not None:
            raise self.lost
        if self._guard is not None:
            self._guard.check(connection)

    async def _patiently(self, work: Work[T]) -> T:
        """Wait for whoever holds the database: what happened outside must be recorded."""
        tries = 0
        while True:
            try:
                result = await self._run(work)
            except LedgerBusy as busy:
                if tries % _SAY_EVERY == 0:
                    log.warning("ledger.locked", text=f"{busy.filename} is {busy.strerror}")
                tries += 1
                await checkpoint()  # a stopping daemon may give up here
            else:
                if tries:
                    log.info("ledger.free", waited_seconds=tries * _BUSY_MS // 1000)
                return result

    async def _run(self, work: Work[T]) -> T:
        with anyio.CancelScope(shield=True):
            await self._lock.acquire()
            try:
                # Naughty but whole: the library's own way into its thread. The public methods
                # are one hop per statement, and a transaction would be many.
                execute: Any = self._connection._execute
                result: T = await execute(self._translated, work, self._connection._conn)
            except LedgerGone as gone:
                self._lose(gone)
                raise
            finally:
                self._lock.release()
        return result

    def _translated(self, work: Work[T], connection: sqlite3.Connection) -> T:
        try:
            return work(connection)
        except sqlite3.Error as error:
            raise named(error, self._path) from error

    def _lose(self, gone: LedgerGone) -> None:
        if self.lost is None:
            self.lost = gone
            log.error("ledger.gone", file=gone.filename, text=gone.strerror)
            self.is_lost.set()


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
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: with NORMAL the last commits may vanish at power loss, and a vanished
    # SubmitStarted is a batch paid for and forgotten.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("SELECT count(*) FROM sqlite_schema")  # now the -wal is there
