"""kill -9 while answers come without some rows, and some not at all: who is asked again is right."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.acceptance.outcomes import shards_of
from tests.acceptance.tables import (
    all_rows,
    asked_ids,
    check_table,
    delivered_to,
    drop_into,
    expected_entries,
    requests_of,
    transactions,
    with_ready_tasks,
)
from tests.houses import read_lines

pytestmark = pytest.mark.processes

KILLS = 3
LONGEST_LIFE = 1.0  # seconds after daemon.ready: all of it takes some three, in three rounds
#: Some entries are missing once, some answers are no JSON once, some requests fail once.
ANSWERS = [
    {"what": "drop", "rate": 0.03, "times": 1},
    {"what": "not_json", "rate": 0.05, "times": 1},
]
REQUESTS = [{"rate": 0.05, "status": 429, "times": 1}]


def test_kills_at_random_moments_lose_no_row_and_buy_none_twice(processes, root, tmp_path):
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    print(f"BATCHD_TEST_SEED={seed} repeats these moments")  # noqa: T201  # shown when it fails
    moments = random.Random(seed)
    content = transactions(400)
    with_ready_tasks(tmp_path)
    sandbox = processes.sandbox(answer_faults=ANSWERS, request_faults=REQUESTS)
    drop_into(root, "categorize_transactions", "bank.csv", content)
    terms = {"batches__max_requests": 20, "retries__max_attempts": 5}
    for _ in range(KILLS):
        daemon = processes.daemon(root, sandbox, **terms)
        time.sleep(moments.uniform(0, LONGEST_LIFE))
        daemon.kill()
    processes.daemon(root, sandbox, **terms)

    folder = delivered_to(processes, root, "bank")
    rows = check_table(folder, content)
    results = read_lines(folder / "results.jsonl")
    rounds = requests_of(root, folder)
    expected = expected_entries(rounds)
    assert [result["custom_id"] for result in results] == all_rows(400)
    assert [result["output"] for result in results] == list(expected.values())
    assert {row["batchd_error"] for row in rows} == {""}

    # A row was asked for as often as it is said to have been, and each request was executed once.
    asked = [name for each in rounds for request in each for name in asked_ids(request)]
    assert [asked.count(name) for name in expected] == [result["attempts"] for result in results]
    assert sum(sandbox.ledger()["executions"].values()) == sum(map(len, rounds))
    assert len(shards_of(sandbox)) == len(set(shards_of(sandbox))) >= 4
