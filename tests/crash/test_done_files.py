"""A file and its done file leave together, wherever the house is killed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.acceptance.outcomes import check_receipt
from tests.crash.lives import life
from tests.crash.tripwire import TRIPWIRE, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import delivered, drop, requests

SETTINGS = {"inbox": {"done_file": "require"}}


async def lived(root: Path, *, kill_at: int | None) -> int:
    """Drop both, be killed, live on, look; return how many places to die there were."""
    clock = FakeClock()
    remote = TrippedRemote(clock)
    drop(root, "a.jsonl", requests(2))
    drop(root, "a.jsonl.done", [b"it is complete"])
    await life(root, remote, clock, kill_at, **SETTINGS)
    places, place = len(TRIPWIRE.seen), (TRIPWIRE.seen or ["?"])[-1]
    if kill_at is not None:
        await life(root, remote, clock, None, **SETTINGS)

    folder = delivered(root)["a"]
    assert sorted(path.name for path in (folder / "input").iterdir()) == [
        "a.jsonl",
        "a.jsonl.done",
    ], place
    assert (folder / "input" / "a.jsonl.done").read_text() == "it is complete\n", place
    check_receipt(folder, total=2)
    assert [path.name for path in (root / "inbox").iterdir()] == [".tmp"], place
    assert len(remote.opened) == 1, place
    return places


async def test_killed_anywhere_both_are_delivered_and_nothing_is_left():
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await lived(Path(folder) / "whole", kill_at=None)
        assert places > 40
        for kill_at in range(1, places + 1):
            await lived(Path(folder) / str(kill_at), kill_at=kill_at)
