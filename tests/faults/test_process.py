"""The process itself: told to stop at any moment, short of everything, and with its clock set."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchd.core.model import BatchOrder
from batchd.runtime.clock import SystemClock
from batchd.runtime.services import Services
from tests.acceptance.outcomes import check_results, executed_more_than_once, finished, shards_of
from tests.acceptance.processes import STOP_SECONDS, Daemon, Processes, Sandbox, processes_in
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.faults.clocks import YEAR, SetClock
from tests.faults.mounts import fill, small_disk, with_own_mounts
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_receipt,
    request,
    requests,
    turn,
)
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


UPLOAD = "POST /v1/files"
LONG_TEXT = "x" * 20_000
#: A large file's bytes; BATCHD_LARGE_FILE=2000000000 takes its time.
LARGE = int(os.environ.get("BATCHD_LARGE_FILE", "300000000"))
#: What a program says that left something behind.
LEFT_BEHIND = ("Traceback", "was destroyed", "never awaited", "ResourceWarning", "Fatal Python")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


def left_cleanly(daemon: Daemon) -> bool:
    """Whether it ended without a word of anything that it left behind."""
    return not any(word in daemon.output() for word in LEFT_BEHIND)


# Told to stop (F81)


@pytest.mark.processes
def test_sigterm_at_any_moment_ends_in_time_and_the_next_start_goes_on(processes, tmp_path):
    """F81: on its way up, and at each event of a life: exit 0, nothing left, nothing twice."""
    root, chance = tmp_path / "root", random.Random(81)
    sandbox = processes.sandbox(batch_seconds=0.3)
    moments = ["daemon.ready", "job.claimed", "shard.uploaded", "batch.opened", "answers.fetched"]
    for number, moment in enumerate(moments):
        daemon = processes.daemon(root, sandbox, may_end=True, **_loud())
        drop(root, f"f{number}.jsonl", requests(30, prefix=f"f{number}"))
        processes.wait_for_event(daemon, moment)
        time.sleep(chance.random() * 0.05)  # somewhere behind it: that is the point
        assert daemon.stop(within=STOP_SECONDS) == 0
        assert left_cleanly(daemon), daemon.tail()
    starting = processes.daemon(root, sandbox, may_end=True, **_loud())
    lock, pid = root / "var" / "lock", str(starting.pid)
    processes.wait(lambda: pid in lock.read_text(), what="the lock")  # long before it is ready
    assert starting.stop(within=STOP_SECONDS) in (0, -signal.SIGTERM)

    processes.daemon(root, sandbox)
    names = [f"f{number}" for number in range(len(moments))]
    folders = finished(processes, root, *names)
    assert len(list((root / "outbox").iterdir())) == len(moments)
    for name in names:
        check_results(folders[name], requests(30, prefix=name))
    assert len(shards_of(sandbox)) == len(moments)
    assert executed_more_than_once(sandbox) == set()


def _loud() -> dict[str, object]:
    return {"environment": {"PYTHONDEVMODE": "1"}}


@pytest.mark.processes
def test_sigterm_during_an_upload_to_a_stalled_provider_ends_in_time(processes, tmp_path):
    """F81: 100 MB; they are given their grace, and not a second more; a second signal insists."""
    root = tmp_path / "root"
    sandbox = processes.sandbox(http=[{"route": UPLOAD, "delay_seconds": 60}])
    daemon = _uploading(processes, root, sandbox, daemon__grace_seconds=1)
    start = time.monotonic()
    assert daemon.stop(within=STOP_SECONDS) == 0
    assert time.monotonic() - start < 1 + 4

    daemon = _uploading(processes, root, sandbox)
    daemon.send(signal.SIGTERM)
    processes.wait_for_event(daemon, "daemon.stopping")
    start = time.monotonic()
    assert daemon.stop(within=1.0) == 0
    assert time.monotonic() - start < 1.0


def _uploading(processes: Processes, root: Path, sandbox: Sandbox, **settings: object) -> Daemon:
    before = sandbox.calls(UPLOAD)
    daemon = processes.daemon(root, sandbox, **settings)
    if not before:
        drop(root, "a.jsonl", requests(5000, text=LONG_TEXT))  # 100 MB
    processes.wait(lambda: sandbox.calls(UPLOAD) > before, what="an upload under way")
    return daemon


@pytest.mark.processes
def test_sigterm_while_a_large_file_is_read_ends_in_time(processes, tmp_path):
    """F81: 300 MB (or as much as is asked for); the file stays where it is for the next start."""
    root = tmp_path / "root"
    sandbox = processes.sandbox()
    _drop_large(root)
    daemon = processes.daemon(root, sandbox, daemon__grace_seconds=0.2)
    processes.wait_for_event(daemon, "job.claimed", within=120)
    start = time.monotonic()
    assert daemon.stop(within=STOP_SECONDS) == 0
    assert time.monotonic() - start < 5
    assert daemon.events("job.planned") == []
    (dropped,) = (root / "var" / "work").glob("*/in/large.jsonl")
    assert dropped.stat().st_size >= LARGE
    dropped.unlink()  # nobody wants hundreds of megabytes in a folder of temporary files


def _drop_large(root: Path) -> None:
    (root / "inbox").mkdir(parents=True)
    text = "x" * 100_000
    with (root / "inbox" / ".large").open("wb") as file:
        number = 0
        while file.tell() < LARGE:
            number += 1
            file.write(json.dumps(request(f"r-{number}", text=text)).encode() + b"\n")
    (root / "inbox" / ".large").rename(root / "inbox" / "large.jsonl")


# Nobody listens (F83)


@pytest.mark.processes
@pytest.mark.parametrize("where", ["a reader that went away", "a full disk"])
def test_a_daemon_whose_words_reach_nobody_goes_on(processes, tmp_path, where):
    """F83: EPIPE or ENOSPC on stderr: it works as before, and stops as before."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    output = tmp_path / "daemon-1.out"
    reader = None
    if where == "a full disk":
        output.symlink_to("/dev/full")
    else:
        os.mkfifo(output)
        reader = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
    daemon = processes.daemon(root, sandbox, may_end=True)
    daemon.output_file = tmp_path / "silence"  # neither of the two can be read to its end
    daemon.output_file.touch()
    if reader is not None:
        os.close(reader)
    drop(root, "a.jsonl", requests(10))
    processes.wait((root / "outbox").is_dir, what="an outbox")
    check_results(finished(processes, root, "a")["a"], requests(10))
    assert daemon.stop() == 0


@pytest.mark.processes
@with_own_mounts
async def test_a_full_disk_under_the_log_stops_nothing(tmp_path: Path) -> None:
    """F83: files are taken and delivered without a line about it."""
    root = tmp_path / "root"
    small_disk(root / "var" / "log", kilobytes=16)
    fill(root / "var" / "log")
    with processes_in(tmp_path) as processes:
        (root / "outbox").mkdir()
        daemon = processes.daemon(root, processes.sandbox(), may_end=True)
        drop(root, "a.jsonl", requests(10))
        check_results(finished(processes, root, "a")["a"], requests(10))
        assert daemon.stop() == 0


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


@pytest.mark.parametrize("setting", CLOCKS)
async def test_a_clock_that_is_set_makes_no_end_believed_too_soon(tmp_path, setting):
    """F84: a batch that has ended may name its files a little later; without them, all would be
    bought again."""
    machine = Machine(tmp_path)
    async with machine.house() as services:
        shard = await opened(services, tmp_path)
        made = machine.remote._batches[shard.batch or ""]
        machine.true.advance(20.0)
        await machine.remote.retrieve_batch(made.id)  # its end has come
        files, made.output_file_id = made.output_file_id, None
        for _ in range(3):
            await turn(services)
            machine.true.advance(1.0)
    machine.set_clock(**setting)
    await machine.live_for(5.0)
    made.output_file_id = files
    async with machine.house() as services:
        await live(services, deliveries=1)
    assert len(machine.remote.opened) == 1
    assert read_receipt(delivered(tmp_path)["a"])["requests"]["succeeded"] == 3


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


def test_a_time_namespace_is_told_apart_and_reads_the_same_wall_clock():
    """F84: in a container's time namespace the steady clock counts from elsewhere."""
    command = shutil.which("unshare")
    elsewhere = [str(command), "-r", "-T", "--boottime", "1000000", "--fork"]
    if not command or subprocess.run([*elsewhere, "true"], check=False).returncode:
        pytest.skip("no time namespaces here")
    ask = (
        "from batchd.runtime.clock import SystemClock as C; c = C(); print(c.now()); print(c.boot)"
    )
    there = subprocess.run(
        [*elsewhere, sys.executable, "-c", ask], check=True, capture_output=True, text=True
    )
    now, boot = there.stdout.splitlines()
    here = SystemClock()
    assert abs(float(now) - here.now()) < 10
    assert boot != here.boot


async def test_a_clock_that_was_ahead_at_the_call_hides_no_batch_behind_newer_ones(tmp_path):
    """F84: five hundred newer batches of others on the account, each seeming ten years too old."""
    machine = Machine(tmp_path)
    machine.set_clock(off=10 * YEAR)
    await machine.doubt()
    for number in range(500):
        machine.true.advance(0.1)
        await machine.remote.create_batch(_of_somebody_else(number))
    async with machine.house() as services:
        await live(services, deliveries=1)
    assert [shard for shard, _ in machine.remote.opened].count(None) == 500
    assert len(machine.remote.opened) == 501


def _of_somebody_else(number: int) -> BatchOrder:
    return BatchOrder(f"file-of-{number}", "/v1/chat/completions", "24h", {})
