"""A ledger from values; what lay in its place is kept."""

from dataclasses import replace
from pathlib import Path

from batchd.store.database import Database
from batchd.store.ledger import Ledger
from batchd.store.restoring import Restored, restore
from batchd.store.salvage import salvage
from tests.store.lives import (
    JOB,
    a_planned_job,
    claimed,
    collected,
    open_ledger,
    plan,
    rejected,
    to_ended,
)

OTHER = "0zzzzz"


async def test_what_was_read_is_what_is_written(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        shards = await a_planned_job(ledger, plan(1, 2, 3), plan(4))
        await ledger.record(*to_ended(shards[0]), collected(shards[0], 2), at=20.0)
    path = tmp_path / "batchd.db"
    old, content = salvage(path), path.read_bytes()
    restored = Restored(
        root="root-1",
        jobs=list(old.jobs.values()),
        shards=old.shards[JOB],
        history=old.history,
    )
    (kept,) = restore(path, restored, at=7.0)
    assert kept.name == "batchd.db.damaged-7"
    assert kept.read_bytes() == content
    new = salvage(path)
    assert (new.root, new.jobs, new.shards) == (old.root, old.jobs, old.shards)
    assert [fact[3] for fact in new.history] == [f[3] for f in old.history] + ["LedgerRecovered"]
    await (await Ledger.open(path, new_root="another", now=0.0)).close()


async def test_a_job_may_have_joined_one_with_a_higher_id(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
    job = salvage(tmp_path / "batchd.db").jobs[JOB]
    joiner = replace(job, joined=OTHER)
    restore(tmp_path / "batchd.db", Restored("r", [joiner, replace(job, id=OTHER)], []), at=1.0)
    assert salvage(tmp_path / "batchd.db").jobs[JOB].joined == OTHER


async def test_everything_that_lay_there_is_set_aside(tmp_path: Path):
    names = ["batchd.db", "batchd.db-wal", "batchd.db-shm", "batchd.db.rescued-5"]
    for name in names:
        (tmp_path / name).write_text(name)
    kept = restore(tmp_path / "batchd.db", Restored("r", [], []), at=9.0)
    assert [path.read_text() for path in kept] == [
        "batchd.db",
        "batchd.db-wal",
        "batchd.db-shm",
        "batchd.db.rescued-5",
    ]
    await (await Database.open(tmp_path / "batchd.db")).close()


async def test_a_rejected_job_keeps_its_problems(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, job=OTHER)
        await ledger.record(claimed(), rejected(), at=5.0)
    old = salvage(tmp_path / "batchd.db")
    restore(tmp_path / "batchd.db", Restored("r", list(old.jobs.values()), [], {JOB: 6.0}), at=1.0)
    new = salvage(tmp_path / "batchd.db")
    assert new.jobs == old.jobs
