"""What is read of a damaged ledger, and that the original is only copied."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from batchd.core.model import JobState
from batchd.store.salvage import Salvage, remains_of, salvage
from tests.store.lives import JOB, a_planned_job, claimed, open_ledger, plan


async def a_ledger(folder: Path) -> Path:
    async with open_ledger(folder) as ledger:
        await a_planned_job(ledger, plan(1, 2, 3), plan(4))
        for number in range(200):
            await ledger.record(claimed(f"0{number:05}"), at=2.0)
    return folder / "batchd.db"


async def test_a_whole_ledger_is_read_whole(tmp_path: Path):
    path = await a_ledger(tmp_path)
    found = salvage(path)
    assert found.root == "root-1"
    assert len(found.jobs) == 201
    assert found.jobs[JOB].state is JobState.ACTIVE
    assert [(s.number, len(s.rows)) for s in found.shards[JOB]] == [(1, 3), (2, 1)]
    assert found.history[0][2:4] == (None, "JobClaimed")
    assert [p.name for p in tmp_path.iterdir()] == ["batchd.db"]


async def test_a_log_beside_it_is_read_and_left(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
        wal = (tmp_path / "batchd.db-wal").read_bytes()
        assert set(salvage(tmp_path / "batchd.db").jobs) == {JOB}
        assert (tmp_path / "batchd.db-wal").read_bytes() == wal


async def test_what_lies_before_and_behind_a_broken_page_is_read(tmp_path: Path):
    path = await a_ledger(tmp_path)
    content = bytearray(path.read_bytes())
    middle = content.index(b"000100") // 4096 * 4096
    content[middle : middle + 4096] = random.Random(1).randbytes(4096)
    path.write_bytes(content)
    found = salvage(path)
    assert found.root == "root-1"
    assert JOB in found.jobs
    assert 0 < len(found.jobs) <= 201


async def test_rows_of_nonsense_are_left_out(tmp_path: Path):
    path = await a_ledger(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE shards SET rows = x'0102' WHERE number = 2")
        connection.execute("UPDATE jobs SET repairs = '{' WHERE id = '000007'")
    found = salvage(path)
    assert [s.number for s in found.shards[JOB]] == [1]
    assert "000007" not in found.jobs
    assert "000008" in found.jobs


async def test_of_another_schema_only_the_root_is_understood(tmp_path: Path):
    path = await a_ledger(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 77")
    assert salvage(path) == Salvage("root-1")


def test_garbage_foreign_and_nothing_tell_nothing(tmp_path: Path):
    (tmp_path / "garbage").write_bytes(random.Random(1).randbytes(9000))
    with closing(sqlite3.connect(tmp_path / "foreign")) as connection:
        connection.execute("CREATE TABLE root (id)")
        connection.commit()
    assert salvage(tmp_path / "garbage") == salvage(tmp_path / "foreign") == Salvage()
    assert salvage(None) == Salvage()


def test_the_best_that_is_left_is_chosen(tmp_path: Path):
    path = tmp_path / "batchd.db"
    assert remains_of(path) is None
    for name in ("damaged-1", "damaged-2", "damaged-2-wal"):
        (tmp_path / f"batchd.db.{name}").touch()
    assert remains_of(path) == tmp_path / "batchd.db.damaged-2"
    path.write_bytes(b"x")
    assert remains_of(path) == path
    (tmp_path / "batchd.db.rescued-3").touch()
    assert remains_of(path) == tmp_path / "batchd.db.rescued-3"
