"""A loop that is blocked is noticed, and by how much."""

from __future__ import annotations

import time

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


async def test_a_loop_that_is_blocked_is_late():
    """In real time, for that is what it measures."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: mind_lateness(closely=False))
            await anyio.wait_all_tasks_blocked()
            time.sleep(LOOSE + 3 * TOO_LATE)  # the block itself
            await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    (late,) = [line["seconds"] for line in logs if line["event"] == "loop.late"]
    assert late >= 3 * TOO_LATE - 0.01
