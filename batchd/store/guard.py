"""Whether the ledger's files are still those that were opened."""

from __future__ import annotations

import errno
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from batchd.store.failures import LedgerGone
from batchd.store.identity import RESCUED, beside
from batchd.store.migrations import back_up

_Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Guard:
    """The inodes of the database and of its log, where the last commits are.

    SQLite goes on writing into a file that has no name any more, and all of it would be forgotten.
    """

    path: Path
    database: _Inode | None
    wal: _Inode | None

    @classmethod
    def of(cls, path: Path) -> Guard:
        """Remember the files as they are now, while they are open."""
        return cls(path, _inode(path), _inode(beside(path, "-wal")))

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise `LedgerGone` where a name is gone or means another file."""
        now = _inode(self.path)
        if now != self.database:
            where = _rescued(connection, self.path)
            what = "replaced" if now else "deleted"
            raise LedgerGone(
                errno.ESTALE, f"{what} while batchd was running{where}", str(self.path)
            )
        if _inode(beside(self.path, "-wal")) != self.wal:
            # Closing writes the log, which we still hold, back into the database: nothing is lost.
            raise LedgerGone(
                errno.ESTALE, "deleted while batchd was running", str(beside(self.path, "-wal"))
            )


def _rescued(connection: sqlite3.Connection, path: Path) -> str:
    """Save the ledger as we still see it, though its file has no name any more."""
    copy = beside(path, f"{RESCUED}{int(time.time())}")
    try:
        back_up(connection, copy)
    except (OSError, sqlite3.Error):  # no room, or no folder: `recover` has the other sources
        return ""
    return f"; the ledger as it was is kept in {copy.name}, where `batchd recover` finds it"


def _inode(path: Path) -> _Inode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
