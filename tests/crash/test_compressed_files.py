"""A compressed file is inflated, sent and delivered once, wherever the house is killed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.acceptance.outcomes import check_receipt
from tests.crash.lives import life
from tests.crash.tripwire import TRIPWIRE, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import delivered, drop, requests

SETTINGS = {"batches": {"max_requests": 2}}
NAME = "a.jsonl.gz"


async def lived(root: Path, *, kill_at: int | None) -> list[str]:
    """Drop it, be killed, live on, look; return the places to die there were."""
    clock = FakeClock()
    remote = TrippedRemote(clock)
    content = drop(root, NAME, requests(3)).read_bytes()
    await life(root, remote, clock, kill_at, **SETTINGS)
    places = list(TRIPWIRE.seen)
    if kill_at is not None:
        await life(root, remote, clock, None, **SETTINGS)

    place = (places or ["?"])[-1]
    folder = delivered(root)["a"]
    assert (folder / "input" / NAME).read_bytes() == content, place
    check_receipt(folder, total=3)
    results = [json.loads(line) for line in (folder / "results.jsonl").read_bytes().splitlines()]
    assert [result["custom_id"] for result in results] == ["r-1", "r-2", "r-3"], place
    assert len(remote.opened) == 2, place
    sent = {line for _, upload in remote.uploads for line in upload.splitlines()}
    assert sent == set(gzip.decompress(content).splitlines()), place
    assert [path.name for path in (root / "var" / "work").rglob("plain*")] == [], place
    return places


async def test_killed_anywhere_it_is_delivered_as_it_was_dropped():
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        places = await lived(Path(folder) / "whole", kill_at=None)
        assert any("plain.jsonl" in place for place in places), "it was killed while inflating, too"
        for kill_at in range(1, len(places) + 1):
            await lived(Path(folder) / str(kill_at), kill_at=kill_at)
