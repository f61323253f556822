"""Heavy work in small turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from batchd.sandbox.turns import AT_ONCE, Turns


def steps(name: str, count: int, done: list[str]) -> Iterator[None]:
    for _ in range(count):
        time.sleep(0.002)
        yield
    done.append(name)


async def test_short_work_is_done_before_long_work_that_came_first():
    turns, done = Turns(), []
    await asyncio.gather(turns.work(steps("long", 100, done)), turns.work(steps("short", 2, done)))

    assert done == ["short", "long"]


async def test_the_loop_is_never_held_for_long():
    turns, gaps = Turns(), []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            gaps.append(time.monotonic() - before)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(turns.work(steps("x", 20, [])) for _ in range(3)))
    watching.cancel()

    assert len(gaps) > 20, "several turns were taken between two rounds of the loop"


async def test_only_so_many_are_worked_on_side_by_side():
    turns, open_now, most = Turns(), set(), 0

    def counted(name: int) -> Iterator[None]:
        nonlocal most
        open_now.add(name)
        most = max(most, len(open_now))
        for _ in range(3):
            time.sleep(0.002)
            yield
        open_now.discard(name)

    await asyncio.gather(*(turns.work(counted(n)) for n in range(AT_ONCE + 5)))

    assert most <= AT_ONCE
