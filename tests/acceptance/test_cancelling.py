"""Cancel, hold and rest: a real daemon, its real socket, and the commands as a person types them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from batchd.control.client import ask
from batchd.spool.folders import Folders
from tests.acceptance.processes import Daemon, Processes, Sandbox
from tests.houses import drop, read_lines, read_receipt, requests

pytestmark = pytest.mark.processes


def batchd(root: Path, *command: str) -> tuple[int, str, str]:
    """Type a command: code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "batchd", *command, "--set", f"folders.root={root}"],
        cwd=root.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def dropped(processes: Processes, daemon: Daemon, name: str, lines: list) -> str:
    drop(daemon.root, name, lines)
    return str(processes.wait_for_event(daemon, "job.claimed", file=name)["job"])


def cancelled_folder(processes: Processes, daemon: Daemon, job: str) -> Path:
    """The folder of a cancelled job: named so, every line answered once, and nothing left."""
    delivered = processes.wait_for_event(daemon, "job.delivered", job=job)
    folder = daemon.root / "outbox" / delivered["folder"]
    assert folder.name.endswith(f"--{job}.cancelled")
    receipt = read_receipt(folder)
    assert receipt["outcome"] == "cancelled"
    assert len(read_lines(folder / "results.jsonl")) == receipt["requests"]["total"]
    assert batchd(daemon.root, "cancel", job)[0] == 0
    return folder


def wait_for_answers(processes: Processes, sandbox: Sandbox) -> None:
    """One that is called off before its first answer names no file, which is waited for."""

    def some() -> bool:
        return any(batch["executed"] > 5 for batch in sandbox.ledger(executions=False)["batches"])

    processes.wait(some, what="answers")


def bought(sandbox: Sandbox) -> list[str]:
    return [batch["status"] for batch in sandbox.ledger(executions=False)["batches"]]


def test_an_open_job_is_called_off_and_what_was_answered_is_delivered(
    processes: Processes, root: Path
):
    sandbox = processes.sandbox(batch_seconds=20)
    daemon = processes.daemon(root, sandbox)
    job = dropped(processes, daemon, "a.jsonl", requests(200))
    wait_for_answers(processes, sandbox)

    code, said, _ = batchd(root, "cancel", job[:6], "--because", "wrong prompt")

    assert code == 0
    assert said == (
        f"{job}: cancelled; 1 of 1 batch is called off; what was answered is delivered:"
        f" outbox/a--{job}.cancelled will appear"
    )
    folder = cancelled_folder(processes, daemon, job)
    results = read_lines(folder / "results.jsonl")
    ledger = sandbox.ledger()
    assert [line["custom_id"] for line in results] == [f"r-{number}" for number in range(1, 201)]
    good = [line["custom_id"] for line in results if line["ok"]]
    assert 5 < len(good) < 200
    assert set(good) == set(ledger["executions"])  # paid for, and delivered
    assert set(ledger["executions"].values()) == {1}
    assert bought(sandbox) == ["cancelled"]
    shown = json.loads(batchd(root, "show", job, "--json")[1])
    assert shown["cancelled_by"].endswith(": wrong prompt")
    assert "JobCancelled" in [fact["event"] for fact in shown["timeline"]]


def test_what_was_not_sent_is_never_sent(processes: Processes, root: Path):
    """While submission rests: planned, and nothing at the provider. Then held by its sum."""
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    assert batchd(root, "pause", "submission")[0] == 0
    job = dropped(processes, daemon, "a.jsonl", requests(3))
    processes.wait_for_event(daemon, "job.planned", job=job)

    assert batchd(root, "cancel", job)[1].startswith(f"{job}: cancelled before anything of it")
    cancelled_folder(processes, daemon, job)

    assert batchd(root, "resume")[0] == 0
    other = dropped(processes, daemon, "b.jsonl", requests(3))
    processes.wait_for_event(daemon, "job.delivered", job=other)
    assert bought(sandbox) == ["completed"]


def test_a_job_held_by_its_sum_is_shown_released_or_cancelled(processes: Processes, root: Path):
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox, budget__per_job=1e-9)
    released, cancelled = (
        dropped(processes, daemon, name, requests(3, prefix=name))
        for name in ("a.jsonl", "b.jsonl")
    )
    for job in (released, cancelled):
        processes.wait_for_event(daemon, "job.held", job=job)
    listed = json.loads(batchd(root, "jobs", "--state", "held", "--json")[1])["jobs"]
    assert {job["job"] for job in listed} == {released, cancelled}

    assert "before anything of it was sent" in batchd(root, "cancel", cancelled)[1]
    assert batchd(root, "release", "--all")[1].startswith(f"{released}: released")

    cancelled_folder(processes, daemon, cancelled)
    processes.wait_for_event(daemon, "job.delivered", job=released, outcome="completed")
    assert bought(sandbox) == ["completed"]


def test_one_that_is_being_read_is_cancelled_and_never_sent(processes: Processes, root: Path):
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    job = dropped(processes, daemon, "a.jsonl", requests(60_000))

    # Not as a command: that takes a third of a second to start, and reading may be done by then.
    said = ask(Folders(root), "POST", "jobs", job, "cancel")["sentence"]
    planned = daemon.events("job.planned", job=job)

    assert not planned, "it had been read before: no race was shown"
    assert said.startswith("cancelled before anything of it was sent")
    folder = cancelled_folder(processes, daemon, job)
    assert len(read_lines(folder / "results.jsonl")) == 60_000
    assert bought(sandbox) == []


def test_one_that_is_being_uploaded_is_cancelled_and_no_batch_is_made(
    processes: Processes, root: Path
):
    slow = [{"route": "POST /v1/files", "delay_seconds": 6}]
    sandbox = processes.sandbox(http=slow)
    daemon = processes.daemon(root, sandbox)
    job = dropped(processes, daemon, "a.jsonl", requests(3))
    processes.wait(lambda: sandbox.calls("POST /v1/files"), what="an upload under way")

    # Not typed: a busy machine may take longer to start a command than the upload takes.
    assert ask(Folders(root), "POST", "jobs", job, "cancel")["sentence"]
    cancelled_folder(processes, daemon, job)

    assert bought(sandbox) == []


def test_one_that_ended_stays_as_it_is(processes: Processes, root: Path):
    daemon = processes.daemon(root, processes.sandbox())
    job = dropped(processes, daemon, "a.jsonl", requests(3))
    folder = processes.wait_for_event(daemon, "job.delivered", job=job)["folder"]

    assert batchd(root, "cancel", job) == (
        0,
        f"{job}: it was delivered (completed) as outbox/{folder}",
        "",
    )
    assert batchd(root, "hold", job)[0] == 6
    assert (root / "outbox" / folder / "receipt.json").exists()


def test_cancelled_while_it_settles_it_is_delivered_once_and_whole(
    processes: Processes, root: Path
):
    """The command comes in again and again while the job ends: whichever wins, one folder."""
    sandbox = processes.sandbox(batch_seconds=1)
    daemon = processes.daemon(root, sandbox)
    jobs = [dropped(processes, daemon, f"{n}.jsonl", requests(20, prefix=f"{n}")) for n in range(8)]
    for job in jobs:
        assert batchd(root, "cancel", job)[0] == 0
    for job in jobs:
        delivered = processes.wait_for_event(daemon, "job.delivered", job=job)
        folder = root / "outbox" / delivered["folder"]
        assert len(read_lines(folder / "results.jsonl")) == 20
    assert len(list((root / "outbox").iterdir())) == 8
    assert daemon.stop() == 0
    assert not daemon.events("process.failed")


def test_an_empty_file_does_the_same(processes: Processes, root: Path):
    sandbox = processes.sandbox(batch_seconds=20)
    daemon = processes.daemon(root, sandbox)
    job = dropped(processes, daemon, "a.jsonl", requests(50))
    wait_for_answers(processes, sandbox)

    (root / "inbox" / f"{job}.cancel").touch()

    cancelled_folder(processes, daemon, job)
    assert not (root / "inbox" / f"{job}.cancel").exists()
    assert bought(sandbox) == ["cancelled"]


def test_cancelled_and_killed_it_is_cancelled_in_the_next_life(processes: Processes, root: Path):
    calling_off = "POST /v1/batches/{id}/cancel"
    # Longer than the command takes to end, so that it is killed before the batch is called off.
    slow = [{"route": calling_off, "delay_seconds": 60, "times": 1}]
    sandbox = processes.sandbox(batch_seconds=20, http=slow)
    daemon = processes.daemon(root, sandbox)
    job = dropped(processes, daemon, "a.jsonl", requests(50))
    wait_for_answers(processes, sandbox)

    assert batchd(root, "cancel", job)[0] == 0
    processes.wait(lambda: sandbox.calls(calling_off), what="a batch that is called off")
    daemon.kill()

    cancelled_folder(processes, processes.daemon(root, sandbox), job)
    assert bought(sandbox) == ["cancelled"]


def test_the_daemon_is_stopped_in_time_though_somebody_holds_its_socket_open(
    processes: Processes, root: Path
):
    daemon = processes.daemon(root, processes.sandbox())
    address = root / "var" / "batchd.sock"
    processes.wait(address.is_socket, what="a socket")
    with contextlib.ExitStack() as idle:
        for _ in range(5):
            one = idle.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(str(address))
            one.sendall(b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")

        assert daemon.stop(within=5) == 0
    assert not address.exists()
