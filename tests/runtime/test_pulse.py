"""The sign of life: only while every loop turns and the ledger answers; and the line of status."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from batchd.core.errors import RemoteDenied
from batchd.core.reasons import ReasonCode
from batchd.runtime.pulse import (
    LEDGER_SECONDS,
    LOOP_SECONDS,
    SECONDS_BETWEEN,
    Pulse,
    report,
)
from batchd.runtime.services import Services
from batchd.runtime.stage import run_stage
from batchd.runtime.systemd import NOBODY, Manager
from batchd.runtime.threads import in_thread
from batchd.stages import STAGES
from tests.fakes.manager import ServiceManager
from tests.houses import open_services
from tests.stages.steps import opened


def test_whoever_beats_is_well_and_who_stops_is_named():
    pulse = Pulse({"a": 10.0, "b": 10.0})
    assert pulse.look({"a": 0.0, "b": 0.0}, 4.0) == {}
    for turn in (1.0, 2.0):
        assert pulse.look({"a": turn, "b": 0.0}, 4.0) == {}
    assert pulse.look({"a": 3.0, "b": 0.0}, 4.0) == {"b": 12.0}
    assert pulse.look({"a": 4.0, "b": 1.0}, 4.0) == {}


def test_who_never_began_to_beat_is_noticed_too():
    pulse = Pulse({"a": 10.0})
    assert [bool(pulse.look({}, 4.0)) for _ in range(3)] == [False, False, True]


def test_a_night_in_suspend_makes_nobody_late():
    """The beats' clock goes on in suspend; how often we have looked does not."""
    pulse = Pulse({"a": 10.0})
    pulse.look({"a": 0.0}, 4.0)
    assert pulse.look({"a": 0.0}, 4.0) == {}  # eight hours later


@asynccontextmanager
async def reporting(folder: Path, *, watchdog: float | None = 30.0) -> AsyncIterator[Reporting]:
    """A house that reports to a manager that listens; its loops are for the test to start."""
    with ServiceManager(str(folder / "notify"), watchdog_seconds=watchdog) as listening:
        named = {name: value for name, value in listening.environment.items() if value}
        house = open_services(folder / "root")
        async with house as services, anyio.create_task_group() as tasks:
            tasks.start_soon(report, services, Manager.of(named, pid=1))
            yield Reporting(listening, services, tasks)
            tasks.cancel_scope.cancel()


@dataclass
class Reporting:
    """The three of them."""

    listening: ServiceManager
    services: Services
    tasks: TaskGroup

    def turn(self, *but: str) -> None:
        """Start the stages' loops."""
        for stage in STAGES:
            if stage.NAME not in but:
                self.tasks.start_soon(run_stage, stage, self.services)

    @property
    def signs(self) -> int:
        return len(self.listening.said("WATCHDOG"))

    async def until(self, fact: Callable[[], object]) -> None:
        """The listener is a thread: what was sent is heard in a moment."""
        for _ in range(500):
            if fact():
                return
            await anyio.sleep(0.01)
        raise AssertionError(f"heard only: {self.listening.heard[-3:]}")

    async def until_status(self, part: str) -> None:
        await self.until(lambda: part in self.listening.said("STATUS")[-1])


async def pass_time(services: Services, seconds: float) -> None:
    """In steps of one, with a few hops through the threads in between: what they answer is in."""
    for _ in range(int(seconds)):
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
        for _ in range(8):
            await in_thread(int)
            await services.ledger.last_job()


@asynccontextmanager
async def locked_out(services: Services) -> AsyncIterator[None]:
    """The ledger's thread is held up: whatever is asked next waits behind us."""
    free = threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(services.ledger._database.read, lambda _: free.wait())
        try:
            yield
        finally:
            free.set()


async def test_while_all_is_well_it_says_so_three_times_a_period(tmp_path):
    async with reporting(tmp_path, watchdog=6.0) as it:
        it.turn()
        await pass_time(it.services, 60)
        await it.until(lambda: it.signs >= 28)
        assert it.signs <= 32
        assert set(it.listening.said("STATUS")[2:]) == {"0 open, 0 waiting"}


async def test_a_loop_that_hangs_gets_no_further_signs_and_is_named(tmp_path):
    async with reporting(tmp_path) as it:
        it.turn("collect")
        await pass_time(it.services, LOOP_SECONDS + 3 * SECONDS_BETWEEN)
        await it.until_status("hanging: collect has not moved for ")
        before = it.signs
        await pass_time(it.services, 60)
        assert it.signs == before > 0
        it.turn("claim", "plan", "submit", "poll", "deliver")
        await pass_time(it.services, 10)
        await it.until(lambda: it.signs > before)


async def test_a_ledger_that_does_not_answer_gets_no_further_signs(tmp_path):
    async with reporting(tmp_path) as it:
        it.turn()
        await pass_time(it.services, 12)
        async with locked_out(it.services):
            for _ in range(int(LEDGER_SECONDS + 3 * SECONDS_BETWEEN)):
                it.services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
                for _ in range(20):
                    await checkpoint()
            await it.until_status("ledger has not moved for ")
            before = it.signs
        await pass_time(it.services, 10)
        await it.until(lambda: it.signs > before)


async def test_a_loop_that_waits_long_after_a_failure_is_not_hanging(tmp_path):
    async with reporting(tmp_path) as it:
        with closing(sqlite3.connect(it.services.folders.database)) as other:
            other.execute("ALTER TABLE shards RENAME TO gone")
        with capture_logs():  # a traceback each time
            it.turn()
            await pass_time(it.services, 120)
        await it.until(lambda: it.signs >= 28)
        await it.until_status("the ledger has not been read yet, or can't be")


async def test_the_status_is_one_line_of_what_is_on_its_way(tmp_path):
    async with reporting(tmp_path, watchdog=None) as it:
        await opened(it.services, tmp_path / "root")
        it.services.clock.advance(7_860.0)  # type: ignore[attr-defined]  # the fake one
        await pass_time(it.services, 5)
        await it.until_status("1 open (oldest 2h11m), 0 waiting, next poll ")
        it.services.intake.stop(ReasonCode.DISK_LOW, "1 byte is free")
        it.services.rest.begin(RemoteDenied("401"))
        for stage in STAGES:  # whose loops would let intake and remote work go on
            it.services.beat(stage.NAME)
        await pass_time(it.services, 4)
        await it.until_status(", takes no files: disk-low, remote work rests: ")


async def test_without_a_manager_nothing_is_asked(tmp_path):
    async with open_services(tmp_path) as services:
        with anyio.fail_after(1):
            await report(services, NOBODY)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.NAME)
async def test_every_idle_stage_turns_once_a_tick(tmp_path, stage):
    async with open_services(tmp_path) as services, anyio.create_task_group() as tasks:
        tasks.start_soon(run_stage, stage, services)
        await pass_time(services, 1)
        for _ in range(5):
            before = services.heartbeat[stage.NAME]
            await pass_time(services, 8)
            assert services.heartbeat[stage.NAME] > before
        tasks.cancel_scope.cancel()
