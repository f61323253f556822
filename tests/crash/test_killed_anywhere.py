"""Killed at every side effect of a whole life, and started again: the same outbox, byte for byte.

This guards everything. A new side effect goes through here without being listed; when it fails, the
order of lines is wrong, not the test. While working on something, `BATCHD_CRASH_EVERY=7` looks at
every 7th place only, and `BATCHD_CRASH_ONLY=Collected` at those whose name has that in it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.lives import FOLDERS, World, orphans, outbox, payers
from tests.crash.tripwire import TRIPWIRE, apart

_EVERY = int(os.environ.get("BATCHD_CRASH_EVERY", "1"))
_ONLY = os.environ.get("BATCHD_CRASH_ONLY", "")
_MORE = 20  #: a killed life may have a few more places than the undisturbed one


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of lives, each with dozens of fsyncs."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


async def test_killed_anywhere_the_next_start_finishes_with_the_same_outbox(quick_folder: Path):
    undisturbed = World(quick_folder / "undisturbed")
    await undisturbed.live(kill_at=None)
    expected, places = outbox(undisturbed), list(TRIPWIRE.seen)
    assert len(places) > 100, "a whole life has more side effects than that"
    check(undisturbed, expected, "undisturbed")

    more = range(len(places) + 1, len(places) + _MORE)
    # Those that are asked for by name are all looked at.
    candidates = [*(range(1, len(places) + 1) if _ONLY else apart(places)), *more]
    for killed_at in candidates[::_EVERY]:
        if _ONLY not in "".join(places[killed_at - 1 : killed_at]):
            continue
        world = World(quick_folder / f"killed-{killed_at}")
        await world.live(kill_at=killed_at)
        if len(TRIPWIRE.seen) < killed_at:
            break  # it lived to its end before it could be killed
        place = f"killed at {killed_at}: {TRIPWIRE.seen[-1]}"
        await live_on(world, place)
        check(world, expected, place)
        shutil.rmtree(world.root)


async def live_on(world: World, place: str) -> None:
    """Start again after the kill, and live to the end."""
    try:
        await world.live(kill_at=None)
    except* Exception as stuck:
        raise AssertionError(f"{place}: {stuck.exceptions}") from stuck


def check(world: World, expected: dict[str, bytes], place: str) -> None:
    """Nothing lost, nothing paid twice, nothing left behind."""
    found = outbox(world)
    assert sorted(found) == sorted(expected), place
    assert {name: found[name] for name in found if found[name] != expected[name]} == {}, place
    assert len(list((world.root / "outbox").iterdir())) == FOLDERS, place
    assert not list((world.root / "inbox").glob("*.jsonl")), place
    submitted = Counter(shard for shard, _ in world.remote.opened)
    assert set(submitted.values()) == {1}, f"{place}: submitted more than once: {submitted}"
    assert payers(world) == 1, f"{place}: identical files are paid once"
    assert orphans(world) == [], place
