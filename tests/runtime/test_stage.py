"""How a stage's loop is turned, and whom it wakes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio

from batchd.runtime.loop import Crew, Rest
from batchd.runtime.stage import bells_for, connect, run_stage
from batchd.stages import STAGES
from tests.fakes.clock import FakeClock


class Stage:
    """A stage that only remembers."""

    LIMIT = 1

    def __init__(self, name: str, wakes: tuple[str, ...] = ()) -> None:
        self.NAME, self.WAKES = name, wakes
        self.asked: list[str] = []

    async def run_once(self, services: Any) -> int:
        self.asked.append("run_once")
        return 0

    async def next_look(self, services: Any) -> float | None:
        self.asked.append("next_look")
        return None


def crews_for(stages: list[Stage], clock: FakeClock) -> dict[str, Crew]:
    return {s.NAME: Crew(s.NAME, clock=clock, rest=Rest(clock), limit=s.LIMIT) for s in stages}


async def test_a_turn_does_what_is_due_then_asks_when_to_look_again_and_shows_it_is_alive():
    clock, stage, beats = FakeClock(), Stage("a"), list[str]()
    services: Any = SimpleNamespace(
        bells=bells_for([stage], clock),
        crews=crews_for([stage], clock),
        clock=clock,
        beat=beats.append,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_stage, stage, services)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert stage.asked == ["run_once", "next_look"]
    assert beats == ["a"]


async def fail() -> None:
    raise OSError("even so")


async def test_whatever_ends_rings_its_own_bell_and_those_it_wakes():
    clock = FakeClock()
    first, second = Stage("first", ("second",)), Stage("second")
    bells, crews = bells_for([first, second], clock), crews_for([first, second], clock)
    connect([first, second], crews, bells)
    async with anyio.create_task_group() as tasks:
        crews["first"].start(tasks, "a", fail)
        await crews["first"].finish()
        await bells["first"].wait(1e9)
        await bells["second"].wait(1e9)


def test_every_stage_wakes_stages_that_there_are():
    names = {stage.NAME for stage in STAGES}
    assert all(set(stage.WAKES) <= names for stage in STAGES)
