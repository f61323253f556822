"""The process itself: told to stop at any moment, short of everything, and with its clock set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchd.runtime.services import Services
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.faults.clocks import YEAR, SetClock
from tests.houses import delivered, drop, live, open_services, read_receipt, requests, turn
from tests.stages.steps import opened

DOUBT = 20.0  #: `batches.doubt_seconds` of the tests' houses
TIMEOUT = 60.0  #: `openai.timeout_seconds`
CLOCKS = [
    pytest.param({"off": 10 * YEAR}, id="ten years forward"),
    pytest.param({"off": -10 * YEAR}, id="ten years back"),
    pytest.param({"off": 3600.0}, id="an hour forward"),
    pytest.param({"off": 10 * YEAR, "rebooted": True}, id="ten years forward, after a boot"),
    pytest.param({"off": -10 * YEAR, "rebooted": True}, id="ten years back, after a boot"),
]


# The wall clock (F84)


class Machine:
    """One machine, its provider, and a wall clock that is set between two lives of the daemon."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.true = FakeClock()
        self.remote = FakeRemote(self.true)
        self.booted = self.true.now() - 100_000.0
        self.off = 0.0

    def set_clock(self, *, off: float, rebooted: bool = False) -> None:
        self.off = off
        if rebooted:
            self.true.advance(5.0)
            self.booted = self.true.now() - 2.0

    @asynccontextmanager
    async def house(self) -> AsyncIterator[Services]:
        clock = SetClock(self.true, off=self.off, booted=self.booted)
        async with open_services(self.root, remote=self.remote, clock=clock) as services:  # type: ignore[arg-type]
            yield services

    async def doubt(self) -> float:
        """Die with a creation in doubt: it came through, and nobody knows. When, in true time."""
        self.remote.lose_connection_after("create_batch")
        self.remote.listing_lag_seconds = DOUBT - 1.0
        async with self.house() as services:
            drop(self.root, "a.jsonl", requests(3))
            while not self.remote.opened:
                await turn(services)
                self.true.advance(1.0)
        return self.true.now()

    async def live_for(self, seconds: float) -> None:
        """Start, run so long, and be killed."""
        async with self.house() as services:
            for _ in range(int(seconds)):
                await turn(services)
                self.true.advance(1.0)


@pytest.mark.parametrize("setting", CLOCKS)
async def test_a_clock_that_is_set_while_a_batch_is_in_doubt_buys_nothing_twice(tmp_path, setting):
    """F84: the provider is not asked before the doubt has really lasted, nor much later."""
    machine = Machine(tmp_path)
    since = await machine.doubt()
    machine.set_clock(**setting)
    async with machine.house() as services:
        while not machine.remote.calls["list_batches"]:
            await turn(services)
            machine.true.advance(1.0)
            assert machine.true.now() - since < 2 * DOUBT + TIMEOUT
        assert machine.true.now() - since >= DOUBT - 1.0
        await live(services, deliveries=1)
    assert len(machine.remote.opened) == machine.remote.calls["create_batch"] == 1


@pytest.mark.parametrize("setting", CLOCKS)
async def test_a_daemon_that_is_killed_every_few_seconds_still_asks(tmp_path, setting):
    """F84: each start after a clock was set could postpone the question for ever, and doesn't."""
    machine = Machine(tmp_path)
    since = await machine.doubt()
    machine.set_clock(**setting)
    while not machine.remote.calls["list_batches"]:
        await machine.live_for(3.0)
        assert machine.true.now() - since < 2 * DOUBT + TIMEOUT
    assert machine.true.now() - since >= DOUBT - 1.0
    assert len(machine.remote.opened) == 1


@pytest.mark.parametrize("setting", CLOCKS)
async def test_a_clock_that_is_set_misses_no_look_and_shows_no_negative_time(tmp_path, setting):
    """F84: an open batch is looked at within one interval; durations stay durations."""
    machine = Machine(tmp_path)
    async with machine.house() as services:
        await opened(services, tmp_path)
    machine.remote.batch_seconds = 100.0
    machine.set_clock(**setting)
    start, looks = machine.true.now(), machine.remote.calls["retrieve_batch"]
    async with machine.house() as services:
        while machine.remote.calls["retrieve_batch"] == looks:
            await turn(services)
            machine.true.advance(1.0)
        assert machine.true.now() - start <= services.settings.batches.poll_max_seconds * 1.1 + 1
        await live(services, deliveries=1)
    times = read_receipt(delivered(tmp_path)["a"])["times"]
    assert times["seconds"] >= 0
    if "rebooted" not in setting:  # else nobody can know how long it took
        assert times["seconds"] < 300
    assert times["claimed"] <= times["first_batch"] <= times["last_batch_ended"]
    assert times["last_batch_ended"] <= times["delivered"]
    assert len(machine.remote.opened) == 1


async def test_a_machine_that_slept_for_eight_hours_goes_on_where_it_was(tmp_path):
    """F84: suspend: time has passed, and what became due meanwhile is done at once."""
    machine = Machine(tmp_path)
    async with machine.house() as services:
        await opened(services, tmp_path)
        machine.true.advance(8 * 3600.0)
        before = machine.true.now()
        await live(services, deliveries=1)
        assert machine.true.now() - before < 10.0
    assert len(machine.remote.opened) == 1
