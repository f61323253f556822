"""One connection, one thread, whole transactions. Nobody else opens the database for writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import aiosqlite
import anyio
import structlog
from anyio.lowlevel import checkpoint

from batchd.store.failures import LedgerBusy, LedgerGone, named
from batchd.store.guard import Guard
from batchd.store.identity import create, must_be_whole
from batchd.store.migrations import STEPS, Step, migrate, newest
from batchd.store.turns import Turns, Work

log = structlog.get_logger()

#: Pages of the ledger in our own memory. The machine keeps the file in its own anyway: SQLite's two
#: megabytes more are half a kilobyte for each of a thousand open batches, and small files took no
#: less processor time with them (a sweep over 10,000 batches took 0.9 s instead of 1.1 s).
_CACHE_KIB = 300
_BUSY_MS = 1000  # in the database's thread; between two tries a stopping daemon may leave
_SAY_EVERY = 30  # tries

T = TypeVar("T")


class Database:
    """A read-write connection. Each piece of work runs whole in the database's own thread.

    A task cancelled between two statements would leave its transaction open for the next one, and
    two tasks that share a connection commit each other's halves. So a piece of work is one
    function, run whole (see `turns.py`) and shielded: cancelled means "nobody waits for it", never
    "half of it happened". It may be run a second time, the first one undone.
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._turns = Turns(connection, must_be_there=self._must_be_there)
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
        return await self._patiently(work, writes=True)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""
        return await self._patiently(work, writes=False)

    async def check(self) -> None:
        """Raise `LedgerGone` where the files are not those that were opened."""
        await self._patiently(self._must_be_there, writes=False)

    async def close(self) -> None:
        """Write the log back into the file and end the thread."""
        with anyio.CancelScope(shield=True):
            await self._connection.close()

    async def _prepare(self) -> None:
        try:
            await self._patiently(_prepare, writes=False)
            self._guard = Guard.of(self._path)
        except BaseException:
            await self.close()
            raise

    def _must_be_there(self, connection: sqlite3.Connection) -> None:
        if self.lost is not None:
            raise self.lost
        if self._guard is not None:
            self._guard.check(connection)

    async def _patiently(self, work: Work[T], *, writes: bool) -> T:
        """Wait for whoever holds the database: what happened outside must be recorded."""
        tries = 0
        while True:
            try:
                result = await self._run(work, writes=writes)
            except LedgerBusy as busy:
                if tries % _SAY_EVERY == 0:
                    log.warning("ledger.locked", text=f"{busy.filename} is {busy.strerror}")
                tries += 1
                await checkpoint()  # a stopping daemon may give up here
            else:
                if tries:
                    log.info("ledger.free", waited_seconds=tries * _BUSY_MS // 1000)
                return result

    async def _run(self, work: Work[T], *, writes: bool) -> T:
        with anyio.CancelScope(shield=True):
            try:
                result = await self._turns.take(work, writes=writes)
            except LedgerGone as gone:
                self._lose(gone)
                raise
            except sqlite3.Error as error:
                ours = named(error, self._path)
                if isinstance(ours, LedgerGone):
                    self._lose(ours)
                raise ours from error
        return result

    def _lose(self, gone: LedgerGone) -> None:
        if self.lost is None:
            self.lost = gone
            log.error("ledger.gone", file=gone.filename, text=gone.strerror)
            self.is_lost.set()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: with NORMAL the last commits may vanish at power loss, and a vanished
    # SubmitStarted is a batch paid for and forgotten.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("SELECT count(*) FROM sqlite_schema")  # now the -wal is there
