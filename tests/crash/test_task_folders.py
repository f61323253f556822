"""A file in a task's folder is that task's one job, and one folder, wherever the house is killed."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from batchd.core.model import JobState
from batchd.stages import claim
from tests.crash.lives import life
from tests.crash.tripwire import TRIPWIRE, Killed, TrippedLedger, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import delivered, drop, open_services, read_receipt, request, write_task

CSV = b"text\nfine\n"
ANNOUNCED = {"inbox": {"done_file": "require"}}


def drop_all(root: Path, *, with_done: bool) -> None:
    """A file for each of two tasks, of one name; and one of requests. One task has no folder yet."""
    for task in ("embed", "sentiment", "translate"):
        write_task(root, task)
    (root / "inbox" / ".tmp").mkdir(parents=True)
    drop(root, "a.jsonl", [request("a")])
    for task in ("embed", "sentiment"):
        (root / "inbox" / task).mkdir()
        (root / "inbox" / task / "a.csv").write_bytes(CSV)
    if with_done:
        for name in ("a.jsonl", "embed/a.csv", "sentiment/a.csv"):
            (root / "inbox" / f"{name}.done").write_bytes(b"complete")


async def claims(
    root: Path, clock: FakeClock, kill_at: int | None, settings: dict[str, Any]
) -> set[tuple[str, bytes]]:
    """Claim until nothing is left to claim, or until killed; return what the ledger has."""
    claimed = set[tuple[str, bytes]]()
    TRIPWIRE.arm(root, kill_at=kill_at)
    try:
        remote = TrippedRemote(clock)
        async with open_services(root, remote=remote, clock=clock, **settings) as services:
            services.ledger = TrippedLedger(services.ledger)  # type: ignore[assignment]
            for _ in range(4):
                await claim.run_once(services)
                clock.advance(1.0)
            jobs = await services.ledger.jobs_in(JobState.CLAIMED)
            assert len(jobs) == len({(job.task, job.name) for job in jobs}), "claimed twice"
            for job in jobs:
                inside = services.work.dropped_at(job.id, job.name, job.task)
                assert services.work.input(job.id) == inside
                assert inside.read_bytes() == CSV or not job.task
                done = [path.name for path in services.work.leaving(job.id)[1:]]
                assert done == ([f"{inside.name}.done"] if settings else [])
            assert services.work.jobs() == sorted(job.id for job in jobs), "something is left"
            claimed = {(job.task, job.name) for job in jobs}
    except* Killed:
        pass
    finally:
        TRIPWIRE.disarm()
    return claimed


async def claimed_once(root: Path, settings: dict[str, Any], *, kill_at: int | None) -> int:
    """Drop, be killed, live on, look; return how many places to die there were."""
    clock = FakeClock()
    drop_all(root, with_done=bool(settings))
    claimed = await claims(root, clock, kill_at, settings)
    places, place = len(TRIPWIRE.seen), (TRIPWIRE.seen or ["?"])[-1]
    if kill_at is not None:
        claimed = await claims(root, clock, None, settings)

    assert claimed == {("", b"a.jsonl"), ("embed", b"a.csv"), ("sentiment", b"a.csv")}, place
    left = sorted(str(path.relative_to(root)) for path in (root / "inbox").rglob("*"))
    folders = ["inbox/.tmp", "inbox/embed", "inbox/sentiment", "inbox/translate"]
    assert left == folders, place
    return places


@pytest.mark.parametrize("settings", [{}, ANNOUNCED], ids=["settled", "announced"])
async def test_killed_anywhere_each_is_claimed_once_for_its_task(settings: dict[str, Any]):
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await claimed_once(Path(folder) / "whole", settings, kill_at=None)
        assert places > 15
        for kill_at in range(1, places + 1):
            await claimed_once(Path(folder) / str(kill_at), settings, kill_at=kill_at)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def delivered_once(root: Path, *, kill_at: int | None) -> int:
    """Drop a table with a done file, be killed, live on; return how many places to die there were."""
    clock = FakeClock()
    remote = TrippedRemote(clock)
    remote.verdicts = {"2": [429, 200]}
    write_task(root, "sentiment")
    (root / "inbox" / "sentiment").mkdir(parents=True)
    (root / "inbox" / "sentiment" / "a.csv").write_bytes(b"text\none\ntwo\nthree")
    (root / "inbox" / "sentiment" / "a.csv.done").write_bytes(b"complete")
    await life(root, remote, clock, kill_at, **ANNOUNCED)
    places, place = len(TRIPWIRE.seen), (TRIPWIRE.seen or ["?"])[-1]
    if kill_at is not None:
        await life(root, remote, clock, None, **ANNOUNCED)

    folder = delivered(root)["a"]
    rows = rows_of(folder / "results.csv")
    assert [row["text"] for row in rows] == ["one", "two", "three"], place
    assert all(row["answer"] and not row["batchd_error"] for row in rows), place
    assert sorted(path.name for path in (folder / "input").iterdir()) == ["a.csv", "a.csv.done"]
    assert read_receipt(folder)["task"] == "sentiment", place
    assert list((root / "inbox" / "sentiment").iterdir()) == [], place
    assert len(remote.opened) == 2, place  # the second round has what failed in the first
    return places


async def test_killed_anywhere_its_table_comes_back_once_with_an_answer_beside_each_row():
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await delivered_once(Path(folder) / "whole", kill_at=None)
        assert places > 50
        for kill_at in range(1, places + 1):
            await delivered_once(Path(folder) / str(kill_at), kill_at=kill_at)
