"""Stopping, starting again, and starting where one may not: exit codes, words, nothing repeated."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.outcomes import (
    check_receipt,
    check_results,
    executed_more_than_once,
    finished,
    shards_of,
)
from tests.acceptance.processes import STOP_SECONDS
from tests.houses import delivered, drop, requests

pytestmark = pytest.mark.processes

UPLOAD = "POST /v1/files"
LONG_TEXT = "x" * 20_000  # 4 MB in 200 requests: more than all the buffers on the way hold


def test_sigterm_in_the_middle_of_an_upload_ends_in_time_and_the_next_start_completes_it(
    processes, root
):
    sandbox = processes.sandbox(http=[{"route": UPLOAD, "delay_seconds": 60}])
    daemon = processes.daemon(root, sandbox)
    dropped = requests(200, text=LONG_TEXT)
    drop(root, "a.jsonl", dropped)
    processes.wait(lambda: sandbox.calls(UPLOAD), what="an upload under way")
    assert daemon.stop(within=STOP_SECONDS) == 0

    sandbox.faults(http=[])
    processes.daemon(root, sandbox)
    check_results(finished(processes, root, "a")["a"], dropped)
    assert len(shards_of(sandbox)) == 1


def test_a_second_sigterm_ends_it_at_once(processes, root):
    sandbox = processes.sandbox(http=[{"route": UPLOAD, "delay_seconds": 60}])
    daemon = processes.daemon(root, sandbox, daemon__grace_seconds=60)
    drop(root, "a.jsonl", requests(5))
    processes.wait(lambda: sandbox.calls(UPLOAD), what="an upload under way")
    daemon.send(signal.SIGTERM)
    processes.wait_for_event(daemon, "daemon.stopping")
    assert daemon.stop(within=STOP_SECONDS) == 0  # of a minute's grace


def test_an_idle_daemon_stops_in_time(processes, root):
    daemon = processes.daemon(root, processes.sandbox())
    assert daemon.stop(within=STOP_SECONDS) == 0
    assert daemon.events("daemon.stopped")


def test_a_second_daemon_on_the_same_root_exits_75_and_names_the_first(processes, root):
    sandbox = processes.sandbox()
    first = processes.daemon(root, sandbox)
    second = processes.daemon(root, sandbox, may_end=True)
    assert second.exit_code(within=20) == 75
    assert f"process {first.pid}" in second.output()
    assert "Traceback" not in second.output()
    assert first.code is None


def test_without_a_key_it_exits_78_and_says_what_to_do(processes, root):
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox, environment={"OPENAI_API_KEY": None}, may_end=True)
    assert daemon.exit_code(within=20) == 78
    assert "export OPENAI_API_KEY" in daemon.output()


def test_running_twice_in_a_row_repeats_nothing(processes, root):
    sandbox = processes.sandbox()
    first = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20, prefix="a"))
    finished(processes, root, "a")
    assert first.stop() == 0
    before = sandbox.ledger()

    second = processes.daemon(root, sandbox)
    drop(root, "b.jsonl", requests(20, prefix="b"))
    folders = finished(processes, root, "b")
    assert set(folders) == {"a", "b"}
    assert len(list((root / "outbox").iterdir())) == 2
    assert len(sandbox.ledger()["batches"]) == len(before["batches"]) + 1
    assert executed_more_than_once(sandbox) == set()
    assert [event["file"] for event in second.events("job.delivered")] == ["b.jsonl"]


def test_a_delivered_folder_that_was_taken_away_is_not_delivered_again(processes, root):
    sandbox = processes.sandbox()
    first = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(5))
    finished(processes, root, "a")["a"].rename(root / "taken")
    assert first.stop() == 0

    processes.daemon(root, sandbox)
    drop(root, "b.jsonl", requests(5, prefix="b"))
    assert set(finished(processes, root, "b")) == {"b"}
    assert len(shards_of(sandbox)) == 2


def test_a_restart_while_a_batch_is_open_continues_the_same_batch(processes, root):
    sandbox = processes.sandbox(batch_seconds=4)
    first = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))
    opened = processes.wait_for_event(first, "batch.opened")
    assert first.stop() == 0
    assert delivered(root) == {}

    processes.daemon(root, sandbox)
    folder = finished(processes, root, "a")["a"]
    check_results(folder, requests(20))
    receipt = check_receipt(folder, total=20)
    assert [batch["id"] for batch in receipt["batches"]] == [opened["batch"]]
    assert len(shards_of(sandbox)) == 1
