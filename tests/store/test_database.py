"""Whole transactions, one thread, and no file taken for the ledger that isn't."""

import errno
import inspect
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiosqlite
import pytest

from batchd.core.errors import ConfigError
from batchd.store.database import Database
from batchd.store.identity import APPLICATION_ID
from batchd.store.ledger import Ledger
from batchd.store.migrations import STEPS, newest


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path)
    try:
        yield database
    finally:
        await database.close()


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def a_pragma(database: Database, name: str) -> object:
    return await database.read(lambda c: c.execute(f"PRAGMA {name}").fetchone()[0])


def root(connection: sqlite3.Connection, name: str = "root-1") -> None:
    connection.execute("INSERT INTO root VALUES (1, ?, 0)", (name,))


def roots(connection: sqlite3.Connection) -> list[str]:
    return [row["id"] for row in connection.execute("SELECT id FROM root")]


def no_thread_is_left(before: set[threading.Thread]) -> bool:
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
    return set(threading.enumerate()) <= before


# Whose file it is


async def test_a_new_file_is_marked_as_ours(tmp_path: Path):
    path = tmp_path / "batchd.db"
    async with open_database(path) as database:
        assert await a_pragma(database, "journal_mode") == "wal"
        assert await a_pragma(database, "synchronous") == 2
        assert await a_pragma(database, "foreign_keys") == 1
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == newest(STEPS)
    assert [p.name for p in tmp_path.iterdir()] == ["batchd.db"]


async def test_an_empty_file_becomes_a_ledger(tmp_path: Path):
    """It is what a crash leaves between making the file and its first page."""
    path = tmp_path / "batchd.db"
    path.touch()
    async with open_database(path) as database:
        await database.write(root)
    async with open_database(path) as database:
        assert await database.read(roots) == ["root-1"]


async def test_another_programs_database_is_refused_and_untouched(tmp_path: Path):
    path = tmp_path / "batchd.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program's"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path):
    path = tmp_path / "batchd.db"
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newest(STEPS) + 1}")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer batchd"):
        await Database.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 90])
async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "batchd.db"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"batchd\.db can't be used"):
        await Database.open(path)
    assert path.read_bytes() == content


async def test_a_damaged_file_is_refused(tmp_path: Path):
    path = tmp_path / "batchd.db"
    async with open_database(path) as database:
        await database.write(
            lambda c: [
                c.execute(
                    "INSERT INTO history (at, job, event, facts) VALUES (0, 'j', 'e', ?)",
                    ("x" * 500,),
                )
                for _ in range(200)
            ]
        )
    damaged = bytearray(path.read_bytes())
    chance = random.Random(10)
    for place in range(len(damaged) // 2, len(damaged), 97):
        damaged[place] = chance.randrange(256)
    path.write_bytes(damaged)
    with pytest.raises(ConfigError, match="can't be used"):
        await Database.open(path)


async def test_a_cut_file_is_refused(tmp_path: Path):
    path = tmp_path / "batchd.db"
    async with open_database(path):
        pass
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ConfigError, match="can't be used"):
        await Database.open(path)


@pytest.mark.parametrize("name", ["missing/batchd.db", "."])
async def test_a_place_where_no_file_can_be_is_the_operators(tmp_path: Path, name: str):
    before = set(threading.enumerate())
    with pytest.raises(ConfigError, match=r"unable to open|it is no file"):
        await Database.open(tmp_path / name)
    assert no_thread_is_left(before)


async def test_a_refused_file_leaves_no_thread(tmp_path: Path):
    before = set(threading.enumerate())
    (tmp_path / "batchd.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError):
        await Database.open(tmp_path / "batchd.db")
    assert no_thread_is_left(before)


async def test_closing_leaves_no_thread_and_no_log(tmp_path: Path):
    before = set(threading.enumerate())
    async with open_database(tmp_path / "batchd.db") as database:
        await database.write(root)
        assert set(threading.enumerate()) > before
    assert no_thread_is_left(before)
    assert [p.name for p in tmp_path.iterdir()] == ["batchd.db"]


async def test_a_ledger_that_can_not_write_leaves_no_thread(tmp_path: Path):
    """Its thread would keep a process alive that has said why it can't begin."""
    path = tmp_path / "batchd.db"
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE root")
        connection.commit()
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError):
        await Ledger.open(path, new_root="root-1", now=0.0)
    assert no_thread_is_left(before)


# Transactions


async def test_work_that_fails_did_not_happen(tmp_path: Path):
    def half(connection: sqlite3.Connection) -> None:
        root(connection)
        raise ValueError("half-way")

    async with open_database(tmp_path / "batchd.db") as database:
        with pytest.raises(ValueError, match="half-way"):
            await database.write(half)
        assert await database.read(roots) == []
        assert not await database.read(lambda c: c.in_transaction)
        assert await database.write(lambda c: root(c) or "done") == "done"
        assert await database.read(roots) == ["root-1"]


async def test_a_shard_belongs_to_a_job(tmp_path: Path):
    orphan = (
        "INSERT INTO shards (id, job, number, round, state, endpoint, model, rows, requests, size,"
        " tokens, due_at, planned_at) VALUES ('a', 'nobody', 1, 1, 'planned', '', '', x'', 0, 0, 0,"
        " 0, 0)"
    )
    async with open_database(tmp_path / "batchd.db") as database:
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(lambda c: c.execute(orphan))


async def test_a_transaction_that_the_disk_ended_is_not_ended_twice(tmp_path: Path):
    """A full disk may roll back by itself; then a ROLLBACK of ours would hide the reason."""

    def rolled_back(connection: sqlite3.Connection) -> None:
        root(connection)
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    async with open_database(tmp_path / "batchd.db") as database:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await database.write(rolled_back)
        assert await database.read(roots) == []


async def test_a_full_disk_loses_nothing_and_room_is_used_when_it_is_back(tmp_path: Path):
    def much(connection: sqlite3.Connection) -> None:
        root(connection)
        row = ("INSERT INTO history (at, job, event, facts) VALUES (0, 'j', 'e', ?)", ("x" * 9000,))
        for _ in range(50):
            connection.execute(*row)

    async with open_database(tmp_path / "batchd.db") as database:
        pages = await a_pragma(database, "page_count")
        await a_pragma(database, f"max_page_count = {pages}")
        with pytest.raises(OSError, match="No space left") as refused:
            await database.write(much)
        assert refused.value.errno == errno.ENOSPC
        assert not await database.read(lambda c: c.in_transaction)
        assert await database.read(roots) == []
        await a_pragma(database, "max_page_count = 100000")
        await database.write(much)
        assert await database.read(roots) == ["root-1"]
        assert await a_pragma(database, "integrity_check") == "ok"


# The library's own way into its thread


async def test_aiosqlite_still_has_the_door_that_we_use():
    """`store/turns.py` runs whole transactions through `_execute`, which is private.

    If this fails after an upgrade, look there first: work must run in the connection's own
    thread, one at a time, with the real `sqlite3.Connection`.
    """
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters)[:2] == ["self", "fn"]
    connection = await aiosqlite.connect(":memory:", isolation_level=None)
    try:
        assert isinstance(connection._conn, sqlite3.Connection)
        result = await connection._execute(
            lambda own: (own.execute("SELECT 7").fetchone()[0], threading.current_thread()),
            connection._conn,
        )
        assert result[0] == 7
        assert result[1] is not threading.current_thread()
    finally:
        await connection.close()
