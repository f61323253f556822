"""Work beside the loop: stopped when nobody waits for it, or not given up half-way."""

from __future__ import annotations

import threading

import anyio
import pytest

from batchd.runtime.threads import finish_undisturbed, in_thread, pause


def other_thread(value: int, *, times: int) -> tuple[int, bool]:
    return value * times, threading.current_thread() is not threading.main_thread()


async def test_work_is_done_in_another_thread():
    assert await in_thread(other_thread, 2, times=3) == (6, True)
    assert await finish_undisturbed(other_thread, 2, times=3) == (6, True)


async def test_an_error_comes_back_as_it_is():
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_long_work_stops_when_nobody_waits_for_it_any_more():
    begun, turns = threading.Event(), 0

    def work() -> None:
        nonlocal turns
        begun.set()
        while turns < 10_000_000:
            turns += 1
            pause()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_thread, work)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.cancel_scope.cancel()
    assert turns < 10_000_000


async def test_short_work_is_finished_though_its_task_was_cancelled():
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(5)
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(finish_undisturbed, work)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.cancel_scope.cancel()
        go.set()
    assert done.is_set()


async def test_short_work_is_begun_though_its_task_is_cancelled_already():
    done = threading.Event()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await finish_undisturbed(done.set)
    assert done.is_set()
