"""A bell may be lost; one rung before anybody waits is not."""

from __future__ import annotations

import anyio

from batchd.runtime.bell import Bell
from tests.fakes.clock import FakeClock


async def test_a_bell_rung_before_the_wait_is_heard_once():
    clock = FakeClock(0.0)
    bell = Bell(clock)
    bell.ring()
    bell.ring()
    await bell.wait(1e9)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait, 10.0)
        await anyio.wait_all_tasks_blocked()
        assert clock.now() == 0.0
        clock.advance(10.0)


async def test_a_bell_wakes_who_waits():
    bell = Bell(FakeClock())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bell.wait, 1e9)
            await anyio.wait_all_tasks_blocked()
            bell.ring()


async def test_a_bell_rung_after_the_time_was_up_is_heard_at_the_next_wait():
    clock = FakeClock(0.0)
    bell = Bell(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait, 1.0)
        await anyio.wait_all_tasks_blocked()
        clock.advance(1.0)
    bell.ring()
    await bell.wait(1e9)
