"""What somebody must look at is told once, until it has been over for a while."""

from __future__ import annotations

from pathlib import Path

import anyio

from batchd.core.errors import RemoteDenied
from batchd.core.reasons import ReasonCode
from batchd.notices.notice import Notice
from batchd.notices.outcome import Outcome
from batchd.notices.problems import (
    CALM,
    HANGING,
    SECONDS_BETWEEN,
    UNREADABLE,
    Problem,
    Watch,
    tell_of_problems,
)
from tests.fakes.clock import FakeClock
from tests.houses import drop, open_services, requests, turn
from tests.notices.test_heartbeat import Well

DENIED = Problem(ReasonCode.DENIED, "no")
STUCK = [Problem(ReasonCode.STUCK, "it is", job) for job in ("a", "b")]


def test_a_problem_is_told_once_until_it_has_been_over_for_a_while():
    watch = Watch()
    assert watch.new(STUCK, 0.0) == {"stuck": STUCK}
    assert watch.new(STUCK, 10.0) == {}
    assert watch.new(STUCK[:1], 20.0) == {}
    assert watch.new(STUCK, 20.0 + CALM - 20) == {}  # b was gone for less
    assert watch.new([], 20.0 + 3 * CALM) == {}
    assert watch.new(STUCK[1:], 21.0 + 3 * CALM) == {"stuck": STUCK[1:]}


def test_a_refused_key_must_last_a_minute():
    watch = Watch()
    assert watch.new([DENIED], 0.0) == {}
    assert watch.new([], 10.0) == {}  # between two tries it does not rest
    assert watch.new([DENIED], 59.0) == {}
    assert watch.new([DENIED], 61.0) == {"denied": [DENIED]}


def test_what_was_told_before_a_restart_is_told_again_only_when_it_had_been_over():
    told = [problem.key for problem in STUCK]
    watch = Watch(told, now=1000.0)
    assert watch.new(STUCK[:1], 1000.0 + CALM / 2) == {}
    assert watch.told == set(told)  # b has some time left to be seen
    assert watch.new(STUCK[:1], 1000.0 + CALM) == {}
    assert watch.told == set(told[:1])
    assert watch.new(STUCK, 1010.0 + CALM) == {"stuck": STUCK[1:]}


class Heard:
    """Somebody who is told."""

    def __init__(self, *, hears: bool = True) -> None:
        self.notices: list[Notice] = []
        self.hears = hears

    async def send(self, notice: Notice) -> Outcome:
        self.notices.append(notice)
        return Outcome(self.hears, "heard" if self.hears else "HTTP 500")


async def test_what_is_wrong_with_the_house_and_its_jobs_is_told(tmp_path):
    given = {"notify": {"on_problem": ["true"]}, "budget": {"per_job": 0.000001}}
    async with open_services(tmp_path, **given) as services, anyio.create_task_group() as tasks:
        heard, well = Heard(), Well()
        tasks.start_soon(tell_of_problems, services, heard, well)

        async def look() -> list[str]:
            services.clock.advance(SECONDS_BETWEEN)
            for _ in range(20):
                await anyio.wait_all_tasks_blocked()
                await services.ledger.pauses()  # the ledger's thread has answered those before
            return [notice.reason for notice in heard.notices]

        assert await look() == []
        services.intake.stop(ReasonCode.DISK_LOW, "3 bytes are free")
        assert await look() == ["disk-low"]

        for name in ("a", "b"):
            drop(tmp_path, f"{name}.jsonl", requests(3, prefix=name))
        for _ in range(10):
            services.intake.go_on()
            await turn(services)
            services.clock.advance(1.0)
        await look()
        reasons = [notice.reason for notice in heard.notices]
        assert sorted(set(reasons)) == ["disk-low", "over-budget"]

        well.hanging = {"poll": 20.0}
        assert HANGING in await look()
        well.hanging, well.can_read = {}, False
        for _ in range(8):
            await look()
        assert UNREADABLE in await look()
        well.can_read = True
        for _ in range(20):
            services.rest.begin(RemoteDenied("revoked"))
            await look()
        assert (await look()).count("denied") == 1
        tasks.cancel_scope.cancel()


async def test_without_anybody_to_tell_nothing_is_looked_at(tmp_path):
    async with open_services(tmp_path) as services, anyio.create_task_group() as tasks:
        heard = Heard()
        tasks.start_soon(tell_of_problems, services, heard, Well())
        services.intake.stop(ReasonCode.DISK_LOW, "3 bytes are free")
        services.clock.advance(SECONDS_BETWEEN)
        await anyio.wait_all_tasks_blocked()
        assert heard.notices == []
        tasks.cancel_scope.cancel()


async def _life(root: Path, clock: FakeClock, heard: Heard, *, full: bool, looks: int = 4) -> int:
    """Run a daemon for some looks; return of how much somebody was told."""
    before = len(heard.notices)
    given = {"notify": {"on_problem": ["true"]}}
    async with (
        open_services(root, clock=clock, **given) as services,
        anyio.create_task_group() as tasks,
    ):
        if full:
            services.intake.stop(ReasonCode.DISK_LOW, "3 bytes are free")
        tasks.start_soon(tell_of_problems, services, heard, Well())
        for _ in range(looks):
            clock.advance(SECONDS_BETWEEN)
            for _ in range(20):
                await anyio.wait_all_tasks_blocked()
                await services.ledger.pauses()
        tasks.cancel_scope.cancel()
    return len(heard.notices) - before


async def test_a_problem_that_stands_is_not_told_at_each_restart(tmp_path):
    clock, heard = FakeClock(), Heard()
    assert await _life(tmp_path, clock, heard, full=True) == 1
    for seconds in (0.0, 1.0, 100_000.0):
        clock.advance(seconds)
        assert await _life(tmp_path, clock, heard, full=True) == 0
    # Mended meanwhile, and seen to be so for as long as it takes without a restart.
    long_enough = int(CALM / SECONDS_BETWEEN) + 2
    assert await _life(tmp_path, clock, heard, full=False, looks=long_enough) == 0
    assert not (tmp_path / "var" / "told.json").exists()
    assert await _life(tmp_path, clock, heard, full=True) == 1


async def test_what_nobody_could_be_told_of_is_told_after_a_restart(tmp_path):
    clock, heard = FakeClock(), Heard(hears=False)
    assert await _life(tmp_path, clock, heard, full=True) == 1
    heard.hears = True
    assert await _life(tmp_path, clock, heard, full=True) == 1
    assert await _life(tmp_path, clock, heard, full=True) == 0
