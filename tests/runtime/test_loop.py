"""The loop, and what a stage has in flight: one thing's failure is that thing's delay."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from batchd.core.errors import BrokenInvariant, RemoteDenied, RemoteUnavailable
from batchd.runtime.bell import Bell
from batchd.runtime.loop import LIGHT, TICK_SECONDS, Crew, Rest, run_loop
from tests.fakes.clock import FakeClock


@dataclass
class Turns:
    """What a loop turns: it does as it is told, and remembers when it was asked."""

    clock: FakeClock
    errors: list[Exception] = field(default_factory=list)
    due_in: float | None = None
    turns: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bell, self.crew = Bell(self.clock), a_crew(self.clock)

    async def look(self) -> float | None:
        self.turns.append(self.clock.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return self.due_in


def a_crew(clock: FakeClock, *, limit: int = 2) -> Crew:
    return Crew("crew", clock=clock, rest=Rest(clock), limit=limit)


@asynccontextmanager
async def turning(stage: Turns) -> AsyncIterator[None]:
    """A loop in the background; what it waits for is for the test to bring."""

    async def loop() -> None:
        await run_loop("stage", stage.look, crew=stage.crew, bell=stage.bell, clock=stage.clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def passes(clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    await anyio.wait_all_tasks_blocked()


async def turns_of(stage: Turns, minutes: int) -> None:
    async with turning(stage):
        for _ in range(minutes):
            await passes(stage.clock, 60.0)


async def fail(error: Exception) -> None:
    raise error


async def test_a_loop_turns_when_rung_and_at_every_tick():
    stage = Turns(FakeClock(0.0))
    async with turning(stage):
        assert stage.turns == [0.0]
        stage.bell.ring()
        await anyio.wait_all_tasks_blocked()
        assert len(stage.turns) == 2
        await passes(stage.clock, TICK_SECONDS - 0.1)
        assert len(stage.turns) == 2
        await passes(stage.clock, 0.1)
        assert len(stage.turns) == 3


async def test_a_loop_looks_again_when_something_is_due():
    stage = Turns(FakeClock(0.0), due_in=1.5)
    async with turning(stage):
        await passes(stage.clock, 1.4)
        assert len(stage.turns) == 1
        await passes(stage.clock, 0.1)
        assert len(stage.turns) == 2


async def test_a_loop_looks_again_when_a_delayed_thing_may_be_tried():
    stage = Turns(FakeClock(0.0))
    async with turning(stage), anyio.create_task_group() as tasks:
        stage.crew.start(tasks, "a", fail, OSError("no space"))
        await anyio.wait_all_tasks_blocked()
        stage.bell.ring()
        await anyio.wait_all_tasks_blocked()
        before = len(stage.turns)
        await passes(stage.clock, 1.0)
        assert len(stage.turns) == before + 1


async def test_a_stage_that_fails_is_tried_again_later_and_later():
    stage = Turns(FakeClock(0.0), errors=[ValueError("a"), ValueError("b")])
    async with turning(stage):
        await passes(stage.clock, 0.9)
        assert len(stage.turns) == 1
        await passes(stage.clock, 0.1)
        assert len(stage.turns) == 2
        await passes(stage.clock, 1.9)
        assert len(stage.turns) == 2
        await passes(stage.clock, 0.1)
        assert stage.turns == [0.0, 1.0, 3.0]


async def test_a_stage_that_fails_for_ever_is_ours_to_mend():
    stage = Turns(FakeClock(0.0), errors=[ValueError("a bug")] * 5)
    with pytest.raises(ExceptionGroup) as raised:
        await turns_of(stage, 5)
    assert raised.group_contains(BrokenInvariant, match="failed 5 times: a bug")


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
        RemoteUnavailable("down", may_have_happened=False),
    ],
)
async def test_a_full_disk_never_brings_the_house_down(error: Exception):
    stage = Turns(FakeClock(0.0), errors=[error] * 6)
    await turns_of(stage, 6)
    assert not stage.errors
    assert len(stage.turns) > 6


async def test_a_broken_invariant_of_a_stage_goes_through():
    stage = Turns(FakeClock(0.0), errors=[BrokenInvariant("no")])
    with pytest.raises(ExceptionGroup) as raised:
        await turns_of(stage, 0)
    assert raised.group_contains(BrokenInvariant)


async def test_a_broken_invariant_of_one_thing_goes_through():
    crew = a_crew(FakeClock())
    with pytest.raises(ExceptionGroup) as raised:
        async with anyio.create_task_group() as tasks:
            crew.start(tasks, "a", fail, BrokenInvariant("no"))
    assert raised.group_contains(BrokenInvariant)


async def test_a_crew_never_does_the_same_thing_twice_at_once():
    crew = a_crew(FakeClock())
    async with anyio.create_task_group() as tasks:
        go = anyio.Event()
        assert crew.start(tasks, "a", go.wait)
        assert not crew.start(tasks, "a", go.wait)
        assert crew.is_busy("a")
        go.set()
        await crew.finish()
        assert not crew.is_busy("a")
        assert crew.start(tasks, "a", go.wait)


async def test_a_crew_has_a_limit():
    crew = a_crew(FakeClock(), limit=2)
    async with anyio.create_task_group() as tasks:
        go = anyio.Event()
        assert [crew.start(tasks, key, go.wait) for key in "abc"] == [True, True, False]
        assert sorted(crew.busy) == ["a", "b"]
        assert crew.room == 0
        go.set()
        await crew.finish()
        assert crew.room == 2


async def test_what_failed_is_delayed_and_the_others_are_not():
    clock = FakeClock()
    crew = a_crew(clock)
    async with anyio.create_task_group() as tasks:
        for wait in (1.0, 2.0, 4.0):
            assert crew.start(tasks, "a", fail, OSError("again"))
            await crew.finish()
            assert crew.next_free() == pytest.approx(wait)
            assert not crew.start(tasks, "a", fail, OSError("too early"))
            assert crew.start(tasks, "b", anyio.sleep, 0)
            await crew.finish()
            clock.advance(wait)
        assert crew.start(tasks, "a", anyio.sleep, 0), "and a success is the end of its delays"
        await crew.finish()
        assert crew.next_free() is None
        crew.start(tasks, "a", fail, OSError("later"))
        await crew.finish()
        assert crew.next_free() == pytest.approx(1.0)


async def test_a_delay_is_as_long_as_the_provider_asks_for():
    clock = FakeClock()
    crew = a_crew(clock)
    async with anyio.create_task_group() as tasks:
        busy = RemoteUnavailable("busy", may_have_happened=False, retry_after_seconds=90.0)
        crew.start(tasks, "a", fail, busy)
        await crew.finish()
        assert crew.next_free() == pytest.approx(90.0)


async def test_what_is_read_from_the_ledger_reaches_beyond_what_is_delayed():
    """Eight files that fail again and again once kept all others out."""
    clock = FakeClock()
    crew = a_crew(clock)
    assert crew.reach == 2 * LIGHT
    async with anyio.create_task_group() as tasks:
        for key in "abcdef":
            crew.start(tasks, key, fail, OSError("never"))
            await crew.finish()
        assert crew.reach == 2 * LIGHT + 6
        go = anyio.Event()
        crew.start(tasks, "g", go.wait)
        assert crew.reach == 2 * LIGHT + 7
        go.set()


async def test_remote_work_rests_while_the_provider_denies_us_and_resumes_by_itself():
    clock = FakeClock()
    rest = Rest(clock)
    crew = Crew("submit", clock=clock, rest=rest, limit=1)
    assert not rest.is_on
    async with anyio.create_task_group() as tasks:
        crew.start(tasks, "a", fail, RemoteDenied("the key is not good", status=401))
        await crew.finish()
    assert rest.is_on
    assert rest.reason == "the key is not good"
    clock.advance(60.0)
    assert not rest.is_on


async def test_light_things_are_taken_by_the_handful_and_are_not_all_at_work_at_once():
    crew, at_work, go = a_crew(FakeClock(), limit=2), list[str](), anyio.Event()

    async def work(key: str) -> None:
        at_work.append(key)
        await go.wait()

    async with anyio.create_task_group() as tasks:
        keys = [f"k{n:02}" for n in range(2 * LIGHT + 1)]
        begun = [crew.start(tasks, key, work, key, light=True) for key in keys]
        assert begun == [True] * (2 * LIGHT) + [False]
        await anyio.wait_all_tasks_blocked()
        assert at_work == keys[:2]
        go.set()
        await crew.finish()
    assert at_work == keys[: 2 * LIGHT], "in the order they came"


async def test_nobody_light_slips_in_before_one_that_found_no_room():
    """Thousands of small files would otherwise keep a large one out for ever."""
    crew, first, go = a_crew(FakeClock(), limit=2), anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        assert crew.start(tasks, "large", go.wait)
        assert crew.start(tasks, "light", first.wait, light=True)
        assert not crew.start(tasks, "larger", go.wait)
        assert not crew.start(tasks, "lighter", go.wait, light=True)
        first.set()
        await anyio.wait_all_tasks_blocked()
        assert crew.start(tasks, "larger", go.wait)
        go.set()
