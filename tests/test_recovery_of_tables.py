"""A ledger lost while a table is on its way: its batches are found again, and nothing is paid twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dropped_tables import GROUPED, NAMED, SCHEMA, as_asked, drop_table, judged, table
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, live, open_services, read_lines, read_receipt, turn, write_task
from tests.test_recovery import SHAPE, World, gone

COUNT = 10


class TableWorld(World):
    def __init__(self, root: Path, task: str) -> None:
        super().__init__(root)
        self.remote = FakeRemote(self.clock)
        self.remote.answers = as_asked
        write_task(root, "judge", task)
        drop_table(root, "judge", "a.csv", table(COUNT))

    async def live(self, *, turns: int | None = None, deliveries: int = 1) -> None:
        house = open_services(self.root, remote=self.remote, clock=self.clock, **SHAPE)
        async with house as services:
            if turns is None:
                await live(services, deliveries=deliveries)
            for _ in range(turns or 0):
                await turn(services)
                self.clock.advance(2.0)

    def check(self) -> None:
        (folder,) = delivered(self.root).values()
        lines = read_lines(folder / "results.jsonl")
        assert [line["output"] for line in lines] == [judged(x["custom_id"]) for x in lines]
        assert len(lines) == COUNT
        receipt = read_receipt(folder)
        assert (receipt["task"], receipt["requests"]["succeeded"]) == ("judge", COUNT)
        assert (folder / "input" / "a.csv").read_text() == table(COUNT)


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("task", [SCHEMA, NAMED.format(GROUPED)], ids=["one", "several"])
async def test_wherever_its_ledger_is_lost_a_table_comes_back(
    tmp_path: Path, task: str, turns: int
):
    world = TableWorld(tmp_path, task)
    await world.live(turns=turns)
    gone(world)
    outcome = await world.recover()
    assert outcome.left == []
    await world.live()
    world.check()
    assert set(world.remote.executions.values()) == {1}


async def test_with_one_record_to_a_request_what_was_tried_again_is_found_as_well(tmp_path: Path):
    world = TableWorld(tmp_path, SCHEMA)
    world.remote.verdicts = {"2": [429, 200]}
    async with open_services(tmp_path, remote=world.remote, clock=world.clock, **SHAPE) as services:
        while len(world.remote.opened) < 5:
            if not await turn(services):
                world.clock.advance(2.0)
    gone(world)
    assert (await world.recover()).rebuilt == 1
    await world.live()
    world.check()
    assert {id for id, times in world.remote.executions.items() if times > 1} == {"2"}


@pytest.mark.parametrize("trouble", ["gone", "other"])
async def test_a_table_whose_task_cannot_be_known_is_left_for_a_person(
    tmp_path: Path, trouble: str
):
    world = TableWorld(tmp_path, SCHEMA)
    await world.live(turns=3)
    gone(world)
    (task,) = tmp_path.glob("var/work/*/task.json")
    if trouble == "gone":
        task.unlink()
    else:
        task.write_text(task.read_text().replace("Judge", "Praise"))
    # Without a word that it is this root: none of the batches fits what lies here.
    outcome = await world.recover(root_id=world.remote.orders[0].metadata["batchd_root"])
    assert len(outcome.left) == 1
    assert list(tmp_path.glob("var/work/*.left/in/judge/a.csv"))
    assert world.remote.executions.keys() <= {str(n) for n in range(1, COUNT + 1)}
