"""What SQLite's errors mean for us: time helps, or this is not our ledger any more."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from batchd.core.errors import ConfigError
from batchd.store.locks import holder

_PRIMARY = 0xFF  # the lower byte of an extended code names its family


class LedgerDamaged(ConfigError):
    """What lies there is no ledger, not ours, or not whole. It is never written to."""


class LedgerBusy(OSError):
    """Somebody else holds the database's lock; the transaction did not begin."""


class LedgerGone(OSError):
    """The ledger is not the file that was opened: nothing that is recorded would be found again."""


#: Passing: the transaction was rolled back, and is done again when there is room.
_PASSING = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def code_of(error: sqlite3.Error) -> int:
    """Return the family of SQLite's code; 0 where the error is Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault."""
    return code_of(error) in _DAMAGE


def named(error: sqlite3.Error, path: Path) -> Exception:
    """Return the error as one of ours; one that is our own mistake comes back as it is.

    An OSError, because the loops know these as passing: an unknown exception five times in ten
    minutes would bring the house down.
    """
    code = code_of(error)
    if code in _BUSY:
        return LedgerBusy(errno.EBUSY, f"locked by {holder(path)}", str(path))
    if code in _DAMAGE or _has_moved(error):
        return LedgerGone(errno.EIO, f"damaged while in use ({error})", str(path))
    if code in _PASSING:
        number = _PASSING[code]
        return OSError(number, f"{os.strerror(number)} ({error}); nothing was recorded", str(path))
    return error


def _has_moved(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED
