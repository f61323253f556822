"""Calls whose answer never arrives, or says no for a while: asked about, waited for, not repeated."""

from __future__ import annotations

import pytest

from tests.acceptance.outcomes import check_results, finished, shards_of
from tests.houses import drop, requests

pytestmark = pytest.mark.processes

CREATE = "POST /v1/batches"


def test_a_create_whose_response_is_lost_makes_one_batch_and_the_job_completes(processes, root):
    lost = {"route": CREATE, "disconnect": "after", "times": 1}
    sandbox = processes.sandbox(http=[lost], listing_lag_seconds=0.3)
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))

    check_results(finished(processes, root, "a")["a"], requests(20))
    assert len(shards_of(sandbox)) == 1
    assert sandbox.calls(CREATE) == 1
    assert len(daemon.events("submit.doubted")) == 1


def test_a_create_that_was_answered_500_after_it_took_effect_is_not_repeated(processes, root):
    late = {"route": CREATE, "status": 500, "before": False, "times": 1}
    sandbox = processes.sandbox(http=[late], listing_lag_seconds=0.3)
    processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))

    check_results(finished(processes, root, "a")["a"], requests(20))
    assert sandbox.calls(CREATE) == 1


def test_a_create_that_never_arrived_is_sent_again_after_asking(processes, root):
    lost = {"route": CREATE, "disconnect": "before", "times": 1}
    sandbox = processes.sandbox(http=[lost], listing_lag_seconds=0.3)
    processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))

    check_results(finished(processes, root, "a")["a"], requests(20))
    assert len(shards_of(sandbox)) == 1
    assert sandbox.calls(CREATE) == 2
    assert sandbox.calls("GET /v1/batches") >= 1


def test_a_sandbox_that_is_down_for_a_while_costs_time_and_nothing_else(processes, root):
    sandbox = processes.sandbox()
    port = int(sandbox.url.rpartition(":")[2])
    sandbox.kill()
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))
    processes.wait_for_event(daemon, "submit.delayed")

    again = processes.sandbox(port=port)
    check_results(finished(processes, root, "a")["a"], requests(20))
    assert len(shards_of(again)) == 1


def test_a_body_that_is_cut_short_is_fetched_again(processes, root):
    sandbox = processes.sandbox(cut_after_bytes=2000, cut_times=2)
    processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(50))

    check_results(finished(processes, root, "a")["a"], requests(50))
    assert len(shards_of(sandbox)) == 1


def test_retry_after_is_obeyed(processes, root):
    busy = {"route": CREATE, "status": 429, "retry_after": 4, "times": 1}
    sandbox = processes.sandbox(http=[busy])
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))
    refused = processes.wait_for_event(daemon, "submit.deferred")
    assert refused["again_in_seconds"] == pytest.approx(4, abs=0.2)

    check_results(finished(processes, root, "a")["a"], requests(20))
    assert sandbox.calls(CREATE) == 2


def test_an_output_that_never_comes_in_one_piece_is_put_together(processes, root):
    """Every connection ends after 1.2 MB, for ever; without ranges it would never be done."""
    sent = requests(6000)
    sandbox = processes.sandbox(ranges=True, cut_after_bytes=1_200_000)
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", sent)

    check_results(finished(processes, root, "a")["a"], sent)
    (fetched,) = daemon.events("answers.fetched")
    assert fetched["bytes"] > 2_000_000
    content = "GET /v1/files/{id}/content"
    assert sandbox.calls(content) == -(-fetched["bytes"] // 1_200_000)
