"""Time only goes forward, whatever is done to the wall clock."""

from __future__ import annotations

import time

import anyio

from batchd.runtime.clock import SystemClock


def test_it_starts_at_the_wall_clock_and_goes_on_by_monotonic_time():
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 1.0
    now, monotonic = clock.now(), clock.monotonic()
    time.sleep(0.01)
    assert clock.now() - now >= 0.01
    assert abs((clock.now() - now) - (clock.monotonic() - monotonic)) < 0.005


async def test_a_wait_ends_with_its_event_or_its_time():
    clock, event = SystemClock(), anyio.Event()
    with anyio.fail_after(5):
        await clock.wait(event, 0.01)
        await clock.wait(event, 0.0)
        event.set()
        await clock.wait(event, 1e9)
