"""Somebody's own command misbehaves."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import STOP_SECONDS, Processes, processes_in
from tests.houses import delivered, drop, requests


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("trap '' TERM; sleep 300", "killed after 1 s"),
        ("echo oh no; exit 3", "exit 3"),
        ("head -c 5000000 /dev/zero | tr '\\0' x", "exit 0"),
        ("exec /nowhere/at/all", "exit 127"),
    ],
    ids=["hangs", "fails", "prints megabytes", "is not there"],
)
def test_a_hook_that_misbehaves_holds_no_job_and_no_end(processes, tmp_path, script, said):
    """F92: a hook hangs, fails, prints a lot: the folder is there, and the log says what it did."""
    root = tmp_path / "root"
    hook = json.dumps(["sh", "-c", f"echo began >> began; {script}"])
    sandbox = processes.sandbox(batch_seconds=0.3)
    limit = 1 if script.endswith("sleep 300") else 20
    daemon = processes.daemon(
        root, sandbox, notify__on_complete=hook, notify__timeout_seconds=limit
    )
    for name in ("a", "b"):
        drop(root, f"{name}.jsonl", requests(2, prefix=name))

    processes.wait(lambda: len(delivered(root)) == 2, what="both folders")
    event = "notice.sent" if said == "exit 0" else "notice.failed"
    told = processes.wait_for_event(daemon, event, text=said)
    assert len(told["output"] or "") <= 2_000
    processes.wait(lambda: len(daemon.events(event)) == 2, what="both notices")
    assert (root / "began").read_text() == "began\n" * 2
    assert daemon.stop() == 0


@pytest.mark.processes
def test_a_hook_that_hangs_at_the_end_is_killed_and_told_again_at_the_next_start(
    processes, tmp_path
):
    """F92: at SIGTERM nobody waits for it; what was not told is told by the next daemon."""
    root = tmp_path / "root"
    sandbox = processes.sandbox(batch_seconds=0.3)
    hang = json.dumps(["sh", "-c", "echo $$ > pid; exec sleep 300"])
    daemon = processes.daemon(root, sandbox, notify__on_complete=hang)
    drop(root, "a.jsonl", requests(2))
    pid = root / "pid"
    processes.wait(lambda: pid.exists() and pid.read_text(), what="the hook")
    began = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.exit_code(within=STOP_SECONDS) == 0
    assert time.monotonic() - began < STOP_SECONDS
    processes.wait(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), what="its end")

    hook = json.dumps(["sh", "-c", 'echo "$BATCHD_OUTCOME [$OPENAI_API_KEY]" > told'])
    again = processes.daemon(root, sandbox, notify__on_complete=hook)
    processes.wait_for_event(again, "notice.sent")
    assert (root / "told").read_text() == "completed []\n"
    assert again.stop() == 0
