"""Whether a file is our ledger, whole, of a schema we know. Looks only, and makes what is missing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from batchd.core.errors import ConfigError
from batchd.store import sql
from batchd.store.failures import LedgerDamaged, code_of, is_damage, named

APPLICATION_ID = 0x62746364  # "btcd": tells our file from any other SQLite database
FIRST_VERSION = 1  #: of the schema; each migration is one more
RESCUED = ".rescued-"  #: a copy saved from a file that was taken away while we ran
_SIDES = ("-wal", "-shm", "-journal")


def beside(path: Path, side: str) -> Path:
    """Return the name of a file that belongs to a database."""
    return path.with_name(path.name + side)


def is_blank(path: Path) -> bool:
    """Whether there is no ledger at all: no file, or an empty one."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def must_be_whole(path: Path, *, newest: int) -> int:
    """Return the schema version of what lies there; 0 where there is nothing. Changes nothing.

    Raises `LedgerDamaged` for what must be recovered, `ConfigError` for what must be put right.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} can't be used as the ledger: it is no file. Move it away")
    _must_not_be_torn(path)
    if is_blank(path):
        return 0
    try:
        with closing(_look(path)) as connection:
            version = _recognised(connection, path, newest=newest)
            _checked(connection, path)
            return version
    except sqlite3.DatabaseError as error:
        raise _refusal(error, path) from error


def create(path: Path, *, version: int) -> None:
    """Make an empty ledger. It appears whole: a crash leaves a `.new` at most."""
    new = beside(path, ".new")
    for side in ("", *_SIDES):
        beside(new, side).unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(
                f"BEGIN IMMEDIATE; {sql.schema()}"
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"
                "COMMIT;"
            )
    except sqlite3.DatabaseError as error:
        raise _refusal(error, path) from error
    show(new, path)


def show(new: Path, path: Path) -> None:
    """Let a whole database appear under its name, so that it survives a power cut."""
    descriptor = os.open(new, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    new.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _must_not_be_torn(path: Path) -> None:
    """Notice what SQLite would not: the last commits lie in the -wal, and it would go on without."""
    if any(path.parent.glob(path.name + RESCUED + "*")):
        raise LedgerDamaged(f"{path} was deleted or replaced while batchd was running")
    wal, shm = beside(path, "-wal"), beside(path, "-shm")
    # SQLite itself removes the -shm first, so that this is never its own doing.
    if not is_blank(path) and shm.exists() and not wal.exists():
        raise LedgerDamaged(f"{wal} was deleted, and the ledger's last changes with it")
    # Beside an empty database SQLite would remove the -wal: it is all that is left of the ledger.
    if is_blank(path) and not is_blank(wal):
        raise LedgerDamaged(f"{path} is {_empty_word(path)}, but its {wal.name} is still there")


def _empty_word(path: Path) -> str:
    return "empty" if path.exists() else "gone"


def _look(path: Path) -> sqlite3.Connection:
    """Open read-only: a connection that may write would, when it is closed, tidy the -wal away."""
    # A journal is rolled back by SQLite itself, which a reader may not do.
    mode = "rw" if beside(path, "-journal").exists() else "ro"
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode={mode}", uri=True)


def _recognised(connection: sqlite3.Connection, path: Path, *, newest: int) -> int:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ConfigError(
            f"{path} is another program's database. Move it away, or set folders.root to"
            " where batchd's own lies"
        )
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise ConfigError(
            f"{path} was written by a newer batchd (schema {version}, this one knows {newest}):"
            " start the newer one"
        )
    return version


def _checked(connection: sqlite3.Connection, path: Path) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise LedgerDamaged(f"{path} can't be used as the ledger: it is damaged ({verdict})")


def _refusal(error: sqlite3.Error, path: Path) -> Exception:
    if is_damage(error) or code_of(error) == sqlite3.SQLITE_IOERR:
        return LedgerDamaged(f"{path} can't be used as the ledger: {error}")
    if code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return named(error, path)
    return ConfigError(
        f"{path} can't be used as the ledger: {error}. {path.parent} must be there, and this user"
        " must be able to write in it"
    )
