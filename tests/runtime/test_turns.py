"""Who takes turns, and who doesn't."""

from __future__ import annotations

import anyio
import pytest

from batchd.runtime.turns import Turns


async def test_only_those_of_the_same_name_wait_for_each_other():
    turns, go_on, said = Turns(), anyio.Event(), list[str]()

    async def work(name: str, text: str) -> None:
        async with turns.of(name):
            said.append(f"{text} begins")
            if name == "slow":
                await go_on.wait()
            said.append(f"{text} ends")

    async with anyio.create_task_group() as tasks:
        for name, text in (("slow", "first"), ("slow", "second"), ("quick", "other")):
            tasks.start_soon(work, name, text)
        await anyio.wait_all_tasks_blocked()
        assert said == ["first begins", "other begins", "other ends"]
        go_on.set()
    assert said[3:] == ["first ends", "second begins", "second ends"]


async def test_a_turn_that_failed_keeps_nobody_out():
    turns = Turns()
    with pytest.raises(ValueError, match="oh"):
        async with turns.of("a"):
            raise ValueError("oh")
    with anyio.fail_after(1):
        async with turns.of("a"):
            pass


async def test_one_that_no_longer_waits_keeps_nobody_out():
    turns = Turns()
    async with anyio.create_task_group() as tasks:
        go_on = anyio.Event()

        async def first() -> None:
            async with turns.of("a"):
                await go_on.wait()

        async def second() -> None:
            async with turns.of("a"):
                raise AssertionError("it was told not to wait any more")

        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await second()
        go_on.set()
    with anyio.fail_after(1):
        async with turns.of("a"):
            pass
