"""Files that are not those that were opened are noticed, and the ledger is saved while it can be."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from batchd.store.database import Database
from batchd.store.failures import LedgerDamaged, LedgerGone
from batchd.store.guard import Guard


@asynccontextmanager
async def open_database(folder: Path) -> AsyncIterator[Database]:
    database = await Database.open(folder / "batchd.db")
    await database.write(lambda c: c.execute("INSERT INTO root VALUES (1, 'root-1', 0)"))
    try:
        yield database
    finally:
        await database.close()


def root_in(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT id FROM root").fetchone()[0])


async def test_files_that_are_still_there_are_good(tmp_path: Path):
    async with open_database(tmp_path) as database:
        await database.check()
        assert database.lost is None


async def test_a_deleted_database_ends_all_writing_and_is_saved(tmp_path: Path):
    async with open_database(tmp_path) as database:
        (tmp_path / "batchd.db").unlink()
        with pytest.raises(LedgerGone, match="deleted while"):
            await database.write(lambda c: c.execute("DELETE FROM root"))
        with pytest.raises(LedgerGone):
            await database.check()
        assert database.is_lost.is_set()
    (saved,) = tmp_path.glob("batchd.db.rescued-*")
    assert root_in(saved) == "root-1"


async def test_a_replaced_database_is_noticed_and_not_written_to(tmp_path: Path):
    path = tmp_path / "batchd.db"
    async with open_database(tmp_path) as database:
        (tmp_path / "other").write_bytes(path.read_bytes())
        (tmp_path / "other").rename(path)
        other = path.read_bytes()
        with pytest.raises(LedgerGone, match="replaced while"):
            await database.check()
    assert path.read_bytes() == other
    with pytest.raises(LedgerDamaged, match="deleted or replaced"):
        await Database.open(path)  # whatever it is, the saved one is the ledger


async def test_a_deleted_log_loses_nothing(tmp_path: Path):
    """We still hold it: closing writes it back."""
    async with open_database(tmp_path) as database:
        (tmp_path / "batchd.db-wal").unlink()
        with pytest.raises(LedgerGone, match="deleted while"):
            await database.write(lambda c: c.execute("DELETE FROM root"))
    assert root_in(tmp_path / "batchd.db") == "root-1"


async def test_a_whole_folder_that_is_gone_saves_nothing_and_says_so(tmp_path: Path):
    (tmp_path / "var").mkdir()
    async with open_database(tmp_path / "var") as database:
        (tmp_path / "var").rename(tmp_path / "elsewhere")
        with pytest.raises(LedgerGone) as gone:
            await database.check()
        assert gone.value.strerror == "deleted while batchd was running"


def test_the_files_are_remembered_by_inode(tmp_path: Path):
    (tmp_path / "a").touch()
    guard = Guard.of(tmp_path / "a")
    assert guard.database == ((tmp_path / "a").stat().st_dev, (tmp_path / "a").stat().st_ino)
    assert guard.wal is None
