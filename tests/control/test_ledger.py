"""The ledger is read from outside, and left exactly as it was: beside its owner, or without."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from batchd.control.ledger import reading
from batchd.core.errors import ConfigError
from tests.houses import drop, live, open_services, requests

Snapshot = dict[str, str]


def snapshot(folder: Path) -> Snapshot:
    """The database's files by name and content."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("batchd.db*")
    }


async def one_job(root: Path) -> str:
    """Let a file go the whole way, and the house be closed; return the job's id."""
    async with open_services(root) as services:
        drop(root, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        return str(await services.ledger.last_job())


def names_in(root: Path) -> list[bytes]:
    with reading(root / "var" / "batchd.db") as reader:
        return [job.name for job in reader.jobs_by_prefix("")]


def test_where_there_is_none_there_are_no_jobs_and_none_is_made(tmp_path):
    assert names_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


async def test_beside_a_house_that_is_open_it_reads_the_latest(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        assert (tmp_path / "var" / "batchd.db-wal").exists()

        assert names_in(tmp_path) == [b"a.jsonl"]
        drop(tmp_path, "b.jsonl", requests(2))
        await live(services, deliveries=2)
        assert names_in(tmp_path) == [b"a.jsonl", b"b.jsonl"]


async def test_after_a_house_was_closed_nothing_is_made_beside_the_file(tmp_path):
    await one_job(tmp_path)
    before = snapshot(tmp_path / "var")
    assert before.keys() == {"batchd.db"}

    assert names_in(tmp_path) == [b"a.jsonl"]

    assert snapshot(tmp_path / "var") == before


async def test_after_a_crash_the_last_commits_are_read_where_they_are_and_left_there(tmp_path):
    async with open_services(tmp_path / "alive") as services:
        drop(tmp_path / "alive", "a.jsonl", requests(2))
        await live(services, deliveries=1)
        (tmp_path / "dead" / "var").mkdir(parents=True)
        for path in (tmp_path / "alive" / "var").glob("batchd.db*"):  # as kill -9 leaves them
            (tmp_path / "dead" / "var" / path.name).write_bytes(path.read_bytes())
    before = snapshot(tmp_path / "dead" / "var")

    assert names_in(tmp_path / "dead") == [b"a.jsonl"]

    after = snapshot(tmp_path / "dead" / "var")
    assert after.keys() == before.keys() == {"batchd.db", "batchd.db-wal", "batchd.db-shm"}
    assert {n: h for n, h in after.items() if not n.endswith("-shm")} == {
        n: h for n, h in before.items() if not n.endswith("-shm")
    }
    async with open_services(tmp_path / "dead") as services:
        assert await services.ledger.last_job() is not None


async def test_it_can_only_read(tmp_path):
    await one_job(tmp_path)
    readonly = pytest.raises(sqlite3.OperationalError, match="readonly")
    with reading(tmp_path / "var" / "batchd.db") as reader, readonly:
        reader._connection.execute("DELETE FROM jobs")


async def test_it_finds_by_the_beginning_of_an_id_by_name_and_by_batch(tmp_path):
    job = await one_job(tmp_path)
    with reading(tmp_path / "var" / "batchd.db") as reader:
        (part,) = reader.parts_of(job)
        batch = part.shard.batch or ""

        assert [one.id for one in reader.jobs_by_prefix(job[:3])] == [job]
        assert [one.id for one in reader.jobs_named(b"a.jsonl")] == [job]
        assert [one.shard.id for one in reader.parts_by_batch(batch[:-1])] == [f"{job}-1"]
        assert list(reader.jobs_by_prefix("zzzzzz")) == []
        assert list(reader.jobs_named(b"b.jsonl")) == []
        assert reader.job_counts() == [("delivered", "completed", 1)]
        assert (list(reader.unfinished_jobs()), list(reader.live_parts())) == ([], [])


@pytest.mark.parametrize("content", [b"no database at all, only words" * 100, b"SQLite format 3\0"])
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path, content):
    (tmp_path / "batchd.db").write_bytes(content)

    said = pytest.raises(ConfigError, match=r"batchd\.db can't be read")
    with said, reading(tmp_path / "batchd.db") as reader:
        reader.job_counts()


def test_an_empty_file_has_no_jobs(tmp_path):
    (tmp_path / "batchd.db").touch()

    with reading(tmp_path / "batchd.db") as reader:
        assert list(reader.unfinished_jobs()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_who_may_not_read_it_is_told_so(tmp_path):
    await one_job(tmp_path)
    (tmp_path / "var" / "batchd.db").chmod(0)

    with pytest.raises(PermissionError), reading(tmp_path / "var" / "batchd.db"):
        pass
