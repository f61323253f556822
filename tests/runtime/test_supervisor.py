"""The first signal is a wish, the second one insists."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from batchd.core.errors import BrokenInvariant
from batchd.runtime.supervisor import supervise
from batchd.stages import STAGES
from tests.houses import open_services


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_loops_and_lets_what_is_in_flight_end(tmp_path, number):
    async with open_services(tmp_path) as services:
        go, ended = anyio.Event(), anyio.Event()

        async def a_call() -> None:
            await go.wait()
            ended.set()

        async def stop() -> None:
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), number)
            await anyio.sleep(0.1)
            go.set()

        services.start("submit", "a", a_call)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                await supervise(STAGES, services)
        assert ended.is_set()


async def test_what_does_not_end_within_its_grace_is_left(tmp_path):
    async with open_services(tmp_path, daemon={"grace_seconds": 0.2}) as services:
        services.start("submit", "a", anyio.sleep_forever)

        async def stop() -> None:
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                await supervise(STAGES, services)


async def fail() -> None:
    raise BrokenInvariant("no")


async def supervise_one_that_fails(root: Path) -> None:
    async with open_services(root) as services:
        services.start("submit", "a", fail)
        await supervise(STAGES, services)


async def test_a_broken_invariant_brings_the_house_down(tmp_path):
    with pytest.raises(ExceptionGroup) as raised, anyio.fail_after(10):
        await supervise_one_that_fails(tmp_path)
    assert raised.group_contains(BrokenInvariant)


STUBBORN = """
import sys, time, anyio
from pathlib import Path
from batchd.runtime.supervisor import supervise
from batchd.stages import STAGES
from tests.houses import open_services

async def main():
    async with open_services(Path(sys.argv[1])) as services:
        services.start("submit", "a", anyio.to_thread.run_sync, time.sleep, 60)
        print("ready", flush=True)
        await supervise(STAGES, services)

anyio.run(main)
"""


def test_a_second_signal_ends_it_within_a_second_even_with_a_thread_that_hangs(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", STUBBORN, tmp_path],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        lines = iter(running.stdout.readline, "")
        next(line for line in lines if "ready" in line)
        anyio.run(anyio.sleep, 0.5)  # "ready" is said before the signals are heard
        running.send_signal(signal.SIGTERM)
        next(line for line in lines if "daemon.stopping" in line)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=1.0) == 0
