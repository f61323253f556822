"""One look does for many bells, and one file alone waits for nobody."""

from __future__ import annotations

import anyio
import pytest

from batchd.runtime.bell import Bell
from batchd.runtime.loop import Crew, Rest
from batchd.runtime.pace import BUSY_SECONDS, IDLE_SECONDS, Pace
from tests.fakes.clock import FakeClock


class Room:
    """A stage's crew, bell and pace, and the look that waits for its time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bell = Bell(self.clock)
        self.crew = Crew("crew", clock=self.clock, rest=Rest(self.clock), limit=2)
        self.pace = Pace(self.crew, self.bell, self.clock)
        self.has_looked = False

    async def look(self) -> None:
        await self.pace.wait()
        self.has_looked = True

    async def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await anyio.wait_all_tasks_blocked()


async def test_the_first_look_waits_for_nobody():
    room = Room()
    await room.look()
    assert room.has_looked


async def test_after_a_look_that_found_nothing_the_next_one_waits_a_little():
    room = Room()
    room.pace.note(0, took=0.001)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.look)
        await anyio.wait_all_tasks_blocked()
        room.bell.ring()
        await room.passes(IDLE_SECONDS * 0.9)
        assert not room.has_looked
        await room.passes(IDLE_SECONDS * 0.2)
        assert room.has_looked


@pytest.mark.parametrize(("took", "waits"), [(0.01, 0.19), (60.0, 1.0)])
async def test_a_look_that_takes_long_and_finds_nothing_is_not_taken_as_often(took, waits):
    room = Room()
    room.pace.note(0, took=took)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.look)
        await anyio.wait_all_tasks_blocked()
        await room.passes(waits * 0.9)
        assert not room.has_looked
        await room.passes(waits * 0.2)
        assert room.has_looked


async def test_whoever_is_without_work_gets_it_at_once():
    room, go = Room(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        room.crew.start(tasks, "a", go.wait)
        room.pace.note(1, took=0.001)
        await room.look()
        assert room.has_looked
        go.set()


async def test_while_everybody_has_work_a_look_waits_until_somebody_has_none():
    room, first, second = Room(), anyio.Event(), anyio.Event()
    room.crew.on_done = room.bell.ring
    async with anyio.create_task_group() as tasks:
        for key, end in (("a", first), ("b", first), ("c", second), ("d", second)):
            assert room.crew.start(tasks, key, end.wait, light=True)
        room.pace.note(4, took=0.001)
        tasks.start_soon(room.look)
        room.bell.ring()
        await room.passes(BUSY_SECONDS / 2)
        assert not room.has_looked
        first.set()
        await anyio.wait_all_tasks_blocked()
        assert not room.has_looked, "two have ended, and two are at work"
        second.set()
        await anyio.wait_all_tasks_blocked()
        assert room.has_looked, "and time stands still"
