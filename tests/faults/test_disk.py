"""Disks that are full, read-only, other ones or failing, and people who delete what is in use."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from batchd.core.errors import BrokenInvariant
from batchd.core.model import JobState, ShardState
from batchd.core.names import folder_name
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Job
from batchd.runtime.services import Services
from batchd.stages import claim, collect, deliver, plan, poll, submit
from tests.acceptance.outcomes import check_receipt, check_results, finished, shards_of
from tests.acceptance.processes import Process, Processes, processes_in
from tests.control.asking import ask
from tests.crash.lives import World, orphans, outbox
from tests.crash.tripwire import TRIPWIRE
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.faults.inboxes import look, why
from tests.faults.mounts import fill, read_only, small_disk, with_own_mounts, writable
from tests.houses import delivered, drop, live, open_services, read_lines, read_receipt, requests
from tests.stages.steps import ended, opened, planned, step

ALL = (claim, plan, submit, poll, collect, deliver)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


async def struggle(services: Services, seconds: int) -> None:
    """Turn all stages for so long, as the daemon does: what the disk says delays, and no more."""
    for _ in range(seconds):
        for stage in ALL:
            with suppress(OSError):
                await step(services, stage)
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one


async def settled(services: Services) -> Job:
    """Let time pass until the one job has its last verdict."""
    while not (jobs := await services.ledger.jobs_in(JobState.SETTLED)):
        await step(services, poll, collect)
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
    return jobs[0]


def drafts(root: Path) -> list[str]:
    """What lies in the outbox and is not finished."""
    return [path.name for path in (root / "outbox").iterdir() if path.name.startswith(".")]


# Full (F61)


@pytest.mark.parametrize("when", ["dropped", "planned", "open", "ended"])
@with_own_mounts
async def test_a_disk_that_fills_up_at_any_stage_loses_nothing(tmp_path: Path, when: str) -> None:
    """F61: not a byte is left anywhere, from this moment on; when there is room, it goes on."""
    root, clock = tmp_path / "root", FakeClock()
    small_disk(root, kilobytes=4096)
    remote = FakeRemote(clock)
    async with open_services(root, remote=remote, clock=clock) as services:
        bring = {"planned": planned, "open": opened, "ended": ended}
        if when == "dropped":
            drop(root, "a.jsonl", requests(40))
        elif when == "ended":
            await ended(services, root, lines=requests(40))
        else:
            await bring[when](services, root, lines=requests(40))
        filler = fill(root)
        await struggle(services, 120)
        assert delivered(root) == {}
        filler.unlink()
        await live(services, deliveries=1)
        check_receipt(delivered(root)["a"], total=40)
        assert drafts(root) == []
    assert len(remote.opened) == 1
    assert set(remote.executions.values()) == {1}


@with_own_mounts
async def test_a_disk_that_is_nearly_full_stops_the_intake_and_nothing_else(tmp_path: Path) -> None:
    """F61: new files stay in the inbox and say why; batches are looked at; results wait there."""
    root, clock = tmp_path / "root", FakeClock()
    small_disk(root, kilobytes=8192)
    remote = FakeRemote(clock)
    folders = {"min_free_bytes": 4_000_000}
    async with open_services(root, remote=remote, clock=clock, folders=folders) as services:
        await opened(services, root)
        (root / "filler").write_bytes(bytes(6_500_000))
        drop(root, "b.jsonl", requests(3, prefix="b"))
        await struggle(services, 60)
        await look(services)
        assert why(services, root / "inbox" / "b.jsonl").code == ReasonCode.DISK_LOW
        assert len(await services.ledger.shards_in(ShardState.ENDED)) == 1, "seen, not fetched"
        assert remote.calls["download"] == 0
        (root / "filler").unlink()
        await live(services, deliveries=2)
    assert len(remote.opened) == 2


@with_own_mounts
async def test_a_full_outbox_on_a_disk_of_its_own_keeps_results_here(tmp_path: Path) -> None:
    """F61: the answers are fetched, and the folder appears when there is room for it."""
    root, clock = tmp_path / "root", FakeClock()
    small_disk(root / "outbox", kilobytes=512)
    remote = FakeRemote(clock)
    async with open_services(root, remote=remote, clock=clock) as services:
        await ended(services, root, lines=requests(40))
        filler = fill(root / "outbox")
        await struggle(services, 60)
        (job,) = await services.ledger.jobs_in(JobState.SETTLED)
        assert delivered(root) == {}
        filler.unlink()
        await live(services, deliveries=1)
        check_receipt(delivered(root)["a"], total=40)
        assert job.id in delivered(root)["a"].name


# Failing (F62)


@contextmanager
def failing_fsync(process: Process, error: str) -> Iterator[None]:
    """The kernel refuses a running process every fsync, as a dying disk or a full quota does."""
    command = shutil.which("strace")
    if command is None:
        pytest.skip("no strace to inject it with")
    calls = ("-e", "trace=fsync", "-e", f"inject=fsync:error={error}")
    log = process.output_file.with_suffix(".strace")
    tracing = [command, "-f", "-p", str(process.pid), "-o", str(log), *calls]
    with subprocess.Popen(tracing, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        if "attached" not in (said := tracer.stderr.readline()):
            pytest.skip(f"not allowed to trace: {said}")
        yield
        tracer.send_signal(signal.SIGINT)


@pytest.mark.processes
@pytest.mark.parametrize("error", ["EIO", "EDQUOT"])
def test_a_write_that_may_not_have_reached_the_disk_is_made_anew(processes, tmp_path, error):
    """F62: fsync fails: what was written is not believed, and nothing appears until it works."""
    root = tmp_path / "root"
    sandbox = processes.sandbox(batch_seconds=1.0)
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))
    processes.wait_for_event(daemon, "batch.opened")
    with failing_fsync(daemon, error):
        drop(root, "b.jsonl", requests(5, prefix="b"))
        told = {"EIO": "Input/output error", "EDQUOT": "quota exceeded"}[error]

        def is_told() -> bool:
            delays = daemon.events("collect.delayed") + daemon.events("stage.failed")
            return any(told in event["text"] for event in delays)

        processes.wait(is_told, what="a delay that says so")
        assert delivered(root) == {}
    folders = finished(processes, root, "a", "b")
    check_results(folders["a"], requests(20))
    check_receipt(folders["a"], total=20)
    assert len(shards_of(sandbox)) == 2
    assert drafts(root) == []


# Read-only (F63, F64)


@with_own_mounts
async def test_a_read_only_outbox_keeps_the_result_until_it_is_writable(tmp_path: Path) -> None:
    """F63: nothing is lost, nothing is bought again, and it appears by itself."""
    root, clock = tmp_path / "root", FakeClock()
    remote = FakeRemote(clock)
    async with open_services(root, remote=remote, clock=clock) as services:
        await opened(services, root)
        read_only(root / "outbox")
        await struggle(services, 120)
        assert len(await services.ledger.jobs_in(JobState.SETTLED)) == 1
        assert delivered(root) == {}
        writable(root / "outbox")
        await live(services, deliveries=1)
        check_receipt(delivered(root)["a"], total=3)
    assert len(remote.opened) == 1


@with_own_mounts
async def test_a_read_only_inbox_gives_each_file_once_when_it_is_writable(tmp_path: Path) -> None:
    """F64: what can't be moved away is not taken, and leaves no copies behind."""
    root, clock = tmp_path / "root", FakeClock()
    remote = FakeRemote(clock)
    async with open_services(root, remote=remote, clock=clock) as services:
        drop(root, "a.jsonl", requests(3))
        read_only(root / "inbox")
        await struggle(services, 120)
        await look(services)
        assert (root / "inbox" / "a.jsonl").exists()
        assert len(services.work.jobs()) <= 1
        assert remote.opened == []
        assert why(services, root / "inbox" / "a.jsonl").code == ReasonCode.CANNOT_MOVE
        writable(root / "inbox")
        await live(services, deliveries=1)
        await struggle(services, 60)
    assert len(list((root / "outbox").iterdir())) == 1
    assert len(remote.opened) == 1


# Several disks (F65)


@with_own_mounts
async def test_folders_on_three_disks_are_crossed_by_copying_and_a_kill_changes_nothing(
    tmp_path: Path,
) -> None:
    """F65: a whole life, killed at every seventeenth of its side effects: the same outbox."""
    expected = await _life_on_three_disks(tmp_path / "whole", kill_at=None)
    effects = len(TRIPWIRE.seen)
    assert effects > 100
    for kill_at in range(3, effects, 17):
        outcome = await _life_on_three_disks(tmp_path / str(kill_at), kill_at=kill_at)
        assert outcome == expected, TRIPWIRE.seen[-1]


async def _life_on_three_disks(root: Path, *, kill_at: int | None) -> dict[str, bytes]:
    for name in ("inbox", "outbox", "var"):
        small_disk(root / name, kilobytes=8192)
    world = World(root)
    await world.live(kill_at=kill_at)
    seen = list(TRIPWIRE.seen)
    if kill_at is not None:
        await world.live(kill_at=None)
    assert orphans(world) == [], seen[-1]
    assert list((root / "inbox").glob("*.jsonl")) == []
    TRIPWIRE.seen[:] = seen
    return outbox(world)


# People (F66, F67, F68, F69)


@pytest.mark.parametrize("content", [None, "somebody's"])
async def test_a_folder_of_the_same_name_is_never_replaced(tmp_path, content):
    """F66: empty or not, it is somebody's; the id in the name makes it next to impossible."""
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        planted = tmp_path / "outbox" / folder_name(shard.job, b"a.jsonl", ending="")
        planted.mkdir()
        if content:
            (planted / "theirs").write_text(content)
        job = await settled(services)
        with pytest.raises(BrokenInvariant, match="nothing is ever overwritten"):
            await deliver._deliver(job, services)
        assert [path.name for path in planted.iterdir()] == (["theirs"] if content else [])
        shutil.rmtree(planted)
        await live(services, deliveries=1)
        check_receipt(delivered(tmp_path)["a"], total=3)


@pytest.mark.parametrize("most", [50, 2])
async def test_a_work_folder_that_is_deleted_is_filled_again_from_what_was_uploaded(tmp_path, most):
    """F67: in one batch or in several: delivered with every byte, bought once."""
    async with open_services(tmp_path, batches={"max_requests": most}) as services:
        services.remote.verdicts = {"r-4": [400]}
        shard = await opened(services, tmp_path, lines=requests(5))
        content = services.work.input(shard.job).read_bytes()
        shutil.rmtree(services.work.of(shard.job))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        check_receipt(folder, total=5, failed=1)
        assert [line["custom_id"] for line in read_lines(folder / "results.jsonl")] == [
            f"r-{number}" for number in range(1, 6)
        ]
        assert read_lines(folder / "retry.jsonl") == [requests(5)[3]]
        assert (folder / "input" / "a.jsonl").read_bytes() == content
        assert len(services.remote.opened) == -(-5 // most)
        assert set(services.remote.executions.values()) == {1}
        left = {path.name for path in services.work.of(shard.job).iterdir()}
        assert left <= {"in", "answers", "regaining", "STATUS.txt", "status.json"}
        assert not list(services.work.of(shard.job).glob("regaining/*"))


@pytest.mark.parametrize("lost", ["mended on its way", "deleted at the provider"])
async def test_a_deleted_file_that_nobody_has_any_more_holds_its_job_until_it_is_back(
    tmp_path, lost
):
    """F67: what was sent is not byte for byte what was dropped, and nothing else is taken for it."""
    end = b"\r" if lost == "mended on its way" else b""
    async with open_services(tmp_path) as services:
        lines = [json.dumps(one).encode() + end for one in requests(3)]
        shard = await ended(services, tmp_path, lines=lines)
        if not end:
            del services.remote.files[shard.file_id]
        dropped = services.work.input(shard.job)
        content = dropped.read_bytes()
        shutil.rmtree(services.work.of(shard.job))
        await struggle(services, 300)
        reason = ask(tmp_path, shard.job, now=services.clock.now()).reason
        assert (reason.code, reason.standing) == ("input-missing", "held")
        assert delivered(tmp_path) == {}

        dropped.parent.mkdir(parents=True, exist_ok=True)
        dropped.write_bytes(content)
        await live(services, deliveries=1)
        check_receipt(delivered(tmp_path)["a"], total=3)
        assert len(services.remote.opened) == 1


async def test_a_draft_that_is_deleted_is_built_again_and_a_result_that_is_taken_is_not(tmp_path):
    """F68: until it appears it is ours to complete; once it has, it is its reader's."""
    async with open_services(tmp_path) as services:
        await ended(services, tmp_path)
        await step(services, collect)
        (job,) = await services.ledger.jobs_in(JobState.SETTLED)
        await deliver._prepare(*await services.ledger.job_and_shards(job.id), services)
        shutil.rmtree(tmp_path / "outbox" / f".{job.id}")
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        check_receipt(folder, total=3)

        shutil.rmtree(folder)
        await struggle(services, 120)
        assert list((tmp_path / "outbox").iterdir()) == []
        history = await services.ledger.history_of(job.id)
        assert history, "what was delivered is still known"


async def test_an_outbox_that_is_removed_is_made_again(tmp_path):
    """F69: somebody tidied up too well."""
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path)
        shutil.rmtree(tmp_path / "outbox")
        for _ in range(60):
            await struggle(services, 1)
        assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"


# Names (F70)


async def test_names_that_differ_in_case_only_become_folders_that_differ_in_more(tmp_path):
    """F70: on a file system that knows no case, none is taken for another; long ones are cut."""
    names = ["REPORT", "report", "Report", "x" * 245]
    async with open_services(tmp_path) as services:
        for number, name in enumerate(names):
            drop(tmp_path, f"{name}.jsonl", requests(2, prefix=f"r{number}"))
        await live(services, deliveries=len(names))
        folders = [path.name for path in (tmp_path / "outbox").iterdir()]
    assert len({name.casefold() for name in folders}) == len(names)
    assert max(len(name.encode()) for name in folders) <= 143


# Too few (F71)


@pytest.mark.processes
def test_sixty_four_open_files_are_enough(processes, tmp_path):
    """F71: `ulimit -n 64` and eighty files at once: back-pressure, no crash, nothing twice."""
    root, names = tmp_path / "root", [f"f{number}" for number in range(80)]
    sandbox = processes.sandbox(batch_seconds=0.2)
    daemon = processes.daemon(root, sandbox)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64, 64))
    for name in names:
        drop(root, f"{name}.jsonl", requests(2, prefix=name))
    assert set(finished(processes, root, *names)) == set(names)
    assert len(shards_of(sandbox)) == len(names)
    assert daemon.stop() == 0
