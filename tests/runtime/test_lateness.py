"""A loop that is blocked is noticed, and by how much."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Callable

import anyio
from structlog.testing import capture_logs

from batchd.runtime.lateness import LOOSE, TOO_LATE, Lateness, mind_lateness


def test_only_what_is_too_late_is_told_at_once():
    lateness = Lateness(0.0)
    with capture_logs() as logs:
        lateness.note(TOO_LATE, 1.0)
        lateness.note(0.25, 2.0)
    assert logs == [{"event": "loop.late", "seconds": 0.25, "log_level": "warning"}]


def test_each_minute_tells_its_worst_and_no_other_minutes():
    lateness = Lateness(0.0)
    with capture_logs() as logs:
        for late, now in ((0.01, 10.0), (0.03, 20.0), (0.02, 61.0), (0.005, 70.0), (0.0, 130.0)):
            lateness.note(late, now)
    assert [(line["worst_seconds"], line["looks"]) for line in logs] == [(0.03, 3), (0.005, 2)]


async def held_up(block: Callable[[], object], *, lasts: float) -> list[float]:
    """How late the loop says it was, in real time, for that is what it measures."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: mind_lateness(closely=False))
            await anyio.wait_all_tasks_blocked()
            block()
            await anyio.sleep(lasts)
            tasks.cancel_scope.cancel()
    return [line["seconds"] for line in logs if line["event"] == "loop.late"]


async def test_a_loop_that_is_blocked_is_late():
    """Whenever it comes, and by all of it: between two looks of a timer a short one was not seen."""
    for _ in range(3):
        (late,) = await held_up(lambda: time.sleep(TOO_LATE + 0.05), lasts=0.02)
        assert late >= TOO_LATE + 0.04


async def test_a_loop_that_does_its_work_is_not_late_however_much_it_has():
    def busy() -> None:
        until = time.monotonic() + 2 * TOO_LATE

        def turn() -> None:
            time.sleep(0.01)
            if time.monotonic() < until:
                asyncio.get_running_loop().call_soon(turn)

        turn()

    assert await held_up(busy, lasts=3 * TOO_LATE) == []


async def test_a_thread_that_keeps_the_interpreter_makes_the_loop_late():
    """As one that looks for a pattern in a long text does."""
    kept = threading.Event()

    def keep() -> None:
        kept.wait()
        begun = time.monotonic()
        while time.monotonic() - begun < LOOSE + 3 * TOO_LATE:
            re.fullmatch("(a|a)*b", "a" * 17)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(LOOSE + 4 * TOO_LATE)  # as if it were one step of its own
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        late = await held_up(kept.set, lasts=LOOSE + 4 * TOO_LATE)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert late
    assert max(late) >= TOO_LATE


async def test_afterwards_the_loop_is_as_it_was():
    selector = asyncio.get_running_loop()._selector
    before = selector.select
    await held_up(lambda: None, lasts=0.01)
    assert selector.select == before
