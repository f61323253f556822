"""SQLite's own errors, made by SQLite, and what they are called here."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchd.store.failures import LedgerBusy, LedgerGone, code_of, is_damage, named


def error_of(path: Path, *before: str, last: str) -> sqlite3.Error:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        for statement in before:
            connection.execute(statement)
        with pytest.raises(sqlite3.Error) as failed:
            connection.execute(last)
        return failed.value


def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path):
    full = error_of(
        tmp_path / "a.db",
        "CREATE TABLE t (x)",
        "PRAGMA max_page_count = 2",
        last="INSERT INTO t VALUES (zeroblob(90000))",
    )
    ours = named(full, tmp_path / "a.db")
    assert isinstance(ours, OSError)
    assert ours.errno == errno.ENOSPC
    assert ours.filename == str(tmp_path / "a.db")


def test_a_locked_database_says_so(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = error_of(path, last="BEGIN IMMEDIATE")
    ours = named(locked, path)
    assert isinstance(ours, LedgerBusy)
    assert "locked by another process" in str(ours)  # it is ours, and that is no other


def test_a_file_that_is_no_database_is_damage(tmp_path: Path):
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all" * 100)
    damage = error_of(path, last="SELECT * FROM sqlite_schema")
    assert is_damage(damage)
    assert isinstance(named(damage, path), LedgerGone)


def test_our_own_mistakes_keep_their_names(tmp_path: Path):
    mistake = error_of(tmp_path / "a.db", last="SELECT * FROM nowhere")
    assert named(mistake, tmp_path) is mistake
    assert code_of(sqlite3.ProgrammingError("Python's own")) == 0
