"""An order in the inbox is done, and taken away, wherever the house is killed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.acceptance.outcomes import check_receipt
from tests.crash.lives import life
from tests.crash.tripwire import TRIPWIRE, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import delivered, drop, open_services, requests, turn


async def planned(root: Path, remote: TrippedRemote, clock: FakeClock) -> str:
    """Drop a file, and see it sent: it has an id to speak of."""
    remote.batch_seconds = 10_000.0
    drop(root, "a.jsonl", requests(2))
    async with open_services(root, remote=remote, clock=clock) as services:
        while not remote.opened:
            await turn(services)
            clock.advance(1.0)
        return str(await services.ledger.last_job())


async def lived(root: Path, *, kill_at: int | None) -> int:
    """Order, be killed, live on, look; return how many places to die there were."""
    clock = FakeClock()
    remote = TrippedRemote(clock)
    job = await planned(root, remote, clock)
    (root / "inbox" / f"{job}.cancel").touch()
    await life(root, remote, clock, kill_at)
    places, place = len(TRIPWIRE.seen), (TRIPWIRE.seen or ["?"])[-1]
    if kill_at is not None:
        await life(root, remote, clock, None)

    folder = delivered(root)["a"]
    assert folder.name == f"a--{job}.cancelled", place
    check_receipt(folder, total=2, failed=1)  # half of it was answered when it was called off
    assert [path.name for path in (root / "inbox").iterdir()] == [".tmp"], place
    assert len(remote.opened) == 1, place
    return places


async def test_killed_anywhere_it_is_cancelled_once_and_nothing_is_left():
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await lived(Path(folder) / "whole", kill_at=None)
        assert places > 20
        for kill_at in range(1, places + 1):
            await lived(Path(folder) / str(kill_at), kill_at=kill_at)
