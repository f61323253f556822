"""Twelve files, five of them slow: the seven quick ones are delivered as if they were alone."""

from __future__ import annotations

import pytest

from tests.acceptance.outcomes import check_results, finished
from tests.houses import delivered, drop, read_receipt, requests

pytestmark = pytest.mark.processes

SLOW = [f"slow{number}" for number in range(1, 6)]
QUICK = [f"quick{number}" for number in range(1, 8)]
SLOW_SECONDS, QUICK_SECONDS = 60, 1
AT_ONCE = 10  # seconds from claim to folder: one batch, a few looks, and a noisy machine


def test_seven_quick_files_are_delivered_while_none_of_five_slow_ones_is_done(processes, root):
    seconds = {"gpt-4o": SLOW_SECONDS, "gpt-4o-mini": QUICK_SECONDS}
    sandbox = processes.sandbox(batch_seconds_by_model=seconds)
    daemon = processes.daemon(root, sandbox)
    for name in SLOW:  # first in every queue there is
        drop(root, f"{name}.jsonl", requests(30, prefix=name, model="gpt-4o"))
    processes.wait(
        lambda: len(daemon.events("batch.opened")) == len(SLOW), what="five open batches"
    )
    for name in QUICK:
        drop(root, f"{name}.jsonl", requests(30, prefix=name))

    folders = finished(processes, root, *QUICK)
    at_that_time = [b for b in sandbox.ledger()["batches"] if b["model"] == "gpt-4o"]
    assert [batch["status"] for batch in at_that_time] == ["in_progress"] * len(SLOW)
    assert set(delivered(root)) == set(QUICK)
    for name in QUICK:
        check_results(folders[name], requests(30, prefix=name))
        assert read_receipt(folders[name])["times"]["seconds"] < AT_ONCE
    assert daemon.stop() == 0
