"""A table killed at every side effect on its way: no row lost, none paid twice, the same results."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.lives import World, life, orphans, outbox
from tests.crash.tripwire import TRIPWIRE, TrippedRemote, apart
from tests.dropped_tables import (
    GROUPED,
    NAMED,
    SCHEMA,
    Careless,
    as_asked,
    drop_table,
    judged,
    rows_of_csv,
    table,
)
from tests.fakes.clock import FakeClock
from tests.houses import read_lines, read_receipt, write_task

_EVERY = int(os.environ.get("BATCHD_CRASH_EVERY", "1"))
SETTINGS = {"batches": {"max_requests": 2}, "openai": {"delete_files": True}}
COUNT = 8


class TableWorld(World):
    """What outlives the daemon: one table of several shards, some of it to be tried again."""

    def __init__(self, root: Path, task: str) -> None:
        self.root = root
        self.clock = FakeClock()
        self.remote = TrippedRemote(self.clock)
        self.remote.lose_connection_after("create_batch")
        self.remote.answers = Careless("2", "k2", "k6") if "records_per" in task else as_asked
        if "records_per" not in task:
            self.remote.verdicts = {"2": [429, 200], "4": [400]}
        write_task(root, "judge", task)
        drop_table(root, "judge", "a.csv", table(COUNT))

    async def live(self, *, kill_at: int | None) -> None:
        await life(self.root, self.remote, self.clock, kill_at, **SETTINGS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "task", [SCHEMA, NAMED.format(GROUPED)], ids=["one-by-one", "several-at-once"]
)
async def test_killed_anywhere_a_table_comes_back_whole_and_is_paid_once(task: str):
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        whole = TableWorld(Path(folder) / "whole", task)
        await whole.live(kill_at=None)
        expected, places = outbox(whole), list(TRIPWIRE.seen)
        check(whole, whole, "undisturbed")
        assert len(places) > 60

        for killed_at in list(apart(places))[::_EVERY]:
            world = TableWorld(Path(folder) / str(killed_at), task)
            await world.live(kill_at=killed_at)
            place = f"killed at {killed_at}: {TRIPWIRE.seen[-1]}"
            await world.live(kill_at=None)
            found = outbox(world)
            assert found.keys() == expected.keys(), place
            assert {name for name in found if found[name] != expected[name]} == set(), place
            check(world, whole, place)


def check(world: TableWorld, undisturbed: TableWorld, place: str) -> None:
    (folder,) = (world.root / "outbox").iterdir()
    lines = read_lines(folder / "results.jsonl")
    rows = rows_of_csv(folder / "results.csv")
    assert [row["key"] for row in rows] == [f"k{n}" for n in range(1, COUNT + 1)], place
    for row, line in zip(rows, lines, strict=True):
        assert line["ok"] == (not row["batchd_error"]), place
        assert not line["ok"] or line["output"] == judged(line["custom_id"]), place
    assert read_receipt(folder)["requests"]["total"] == COUNT, place
    assert world.remote.executions == undisturbed.remote.executions, f"{place}: paid twice"
    submitted = Counter(shard for shard, _ in world.remote.opened)
    assert set(submitted.values()) == {1}, f"{place}: submitted more than once: {submitted}"
    assert not [path for path in orphans(world) if not path.startswith("var/work/")], place
