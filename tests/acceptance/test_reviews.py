"""A thousand requests, dropped while the daemon runs: the right answers, each one once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.outcomes import (
    Requests,
    check_failures,
    check_receipt,
    check_results,
    executed_more_than_once,
    finished,
    shards_of,
)
from tests.houses import drop, read_lines, requests

pytestmark = pytest.mark.processes

REVIEWS = Path(__file__).parents[2].parent / "shared" / "data" / "food_reviews.requests.jsonl"


@pytest.fixture(params=["real reviews", "a stand-in"])
def thousand(request: pytest.FixtureRequest) -> Requests:
    """The published reviews where they lie beside the repository, and as many of our own."""
    if request.param == "a stand-in":
        return requests(1000, prefix="review")
    if not REVIEWS.exists():
        pytest.skip(f"{REVIEWS.name} does not lie beside the repository")
    return read_lines(REVIEWS)


def test_a_thousand_requests_come_back_in_order_each_with_its_own_answer(processes, root, thousand):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    drop(root, "reviews.jsonl", thousand)

    folder = finished(processes, root, "reviews")["reviews"]
    check_results(folder, thousand)
    receipt = check_receipt(folder, total=1000)
    assert receipt["outcome"] == "completed"
    assert not (folder / "errors.jsonl").exists()
    assert not (folder / "retry.jsonl").exists()
    assert read_lines(folder / "input" / "reviews.jsonl") == thousand
    assert len(shards_of(sandbox)) == 1
    assert executed_more_than_once(sandbox) == set()


def test_the_same_results_come_through_four_batches(processes, root, thousand):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox, batches__max_requests=300)
    drop(root, "reviews.jsonl", thousand)

    folder = finished(processes, root, "reviews")["reviews"]
    check_results(folder, thousand)
    receipt = check_receipt(folder, total=1000)
    assert [batch["requests"] for batch in receipt["batches"]] == [300, 300, 300, 100]
    assert len(set(shards_of(sandbox))) == 4
    assert executed_more_than_once(sandbox) == set()


def test_what_fails_in_passing_succeeds_later_and_what_fails_for_good_is_told(
    processes, root, thousand
):
    names = [request["custom_id"] for request in thousand]
    passing, lasting = names[7::20], frozenset(names[3::50])
    assert (len(passing), len(lasting)) == (50, 20)
    rules = [
        {"status": 429, "custom_ids": passing, "times": 1},
        {"status": 400, "custom_ids": sorted(lasting)},
    ]
    sandbox = processes.sandbox(request_faults=rules)
    processes.daemon(root, sandbox)
    drop(root, "reviews.jsonl", thousand)

    folder = finished(processes, root, "reviews")["reviews"]
    check_results(folder, thousand, failed=lasting)
    check_failures(folder, thousand, lasting)
    receipt = check_receipt(folder, total=1000, failed=20)
    assert receipt["outcome"] == "partial"
    assert [batch["requests"] for batch in receipt["batches"]] == [1000, 50]
    attempts = {r["custom_id"]: r["attempts"] for r in read_lines(folder / "results.jsonl")}
    assert {name for name, count in attempts.items() if count == 2} == set(passing)
    # Only what came back with a 429 was ever executed again.
    assert executed_more_than_once(sandbox) == set(passing)
