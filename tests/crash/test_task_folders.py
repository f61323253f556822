"""A file in a task's folder is that task's one job, wherever the claim is killed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from batchd.core.model import JobState
from batchd.stages import claim
from tests.crash.tripwire import TRIPWIRE, Killed, TrippedLedger, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import drop, open_services, request, write_task

CSV = b"text\nfine\n"
ONE_BY_ONE = {"inbox": {"done_file": "require"}}


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


async def life(
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


async def lived(root: Path, settings: dict[str, Any], *, kill_at: int | None) -> int:
    """Drop, be killed, live on, look; return how many places to die there were."""
    clock = FakeClock()
    drop_all(root, with_done=bool(settings))
    claimed = await life(root, clock, kill_at, settings)
    places, place = len(TRIPWIRE.seen), (TRIPWIRE.seen or ["?"])[-1]
    if kill_at is not None:
        claimed = await life(root, clock, None, settings)

    assert claimed == {("", b"a.jsonl"), ("embed", b"a.csv"), ("sentiment", b"a.csv")}, place
    left = sorted(str(path.relative_to(root)) for path in (root / "inbox").rglob("*"))
    folders = ["inbox/.tmp", "inbox/embed", "inbox/sentiment", "inbox/translate"]
    assert left == folders, place
    return places


@pytest.mark.parametrize("settings", [{}, ONE_BY_ONE], ids=["settled", "announced"])
async def test_killed_anywhere_each_is_claimed_once_for_its_task(settings: dict[str, Any]):
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await lived(Path(folder) / "whole", settings, kill_at=None)
        assert places > 15
        for kill_at in range(1, places + 1):
            await lived(Path(folder) / str(kill_at), settings, kill_at=kill_at)
