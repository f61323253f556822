"""Answers that do not fit: asked for again, then told beside their row, and ready to be dropped."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.outcomes import executed_more_than_once
from tests.acceptance.tables import (
    SAMPLES,
    delivered_to,
    drop_into,
    requests_of,
    rows_of,
    with_ready_tasks,
)
from tests.houses import read_lines, read_receipt

pytestmark = pytest.mark.processes

#: of the requests 1 to 6: one is no JSON once, one does not fit once, one never does
FAULTS = [
    {"what": "not_json", "ids": ["2"], "times": 1},
    {"what": "misfit", "ids": ["3"], "times": 1},
    {"what": "misfit", "ids": ["5"]},
]


def test_an_answer_that_does_not_fit_is_asked_for_again_and_told_in_the_end(
    processes, root, tmp_path
):
    with_ready_tasks(tmp_path)
    content = (SAMPLES / "sentiment.csv").read_bytes()
    sandbox = processes.sandbox(answer_faults=FAULTS)
    drop_into(root, "sentiment", "reviews.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "reviews")
    results = read_lines(folder / "results.jsonl")
    assert [result["attempts"] for result in results] == [1, 2, 2, 1, 3, 1]
    assert [result["ok"] for result in results] == [True, True, True, True, False, True]
    assert executed_more_than_once(sandbox) == {"2", "3", "5"}
    assert [len(each) for each in requests_of(root, folder)] == [6, 3, 1]

    (error,) = read_lines(folder / "errors.jsonl")
    assert (error["custom_id"], error["error"]["code"]) == ("5", "invalid_output")
    assert json.loads(error["raw"])["unexpected"] is True
    rows = rows_of((folder / "results.csv").read_bytes(), "results.csv")
    assert [bool(row["sentiment"]) for row in rows] == [True, True, True, True, False, True]
    assert rows[4]["batchd_error"].startswith("invalid_output: ")
    receipt = read_receipt(folder)
    assert (receipt["outcome"], receipt["requests"]["failed"]) == ("partial", 1)

    # What is left is a table of its kind: dropped again, it is answered.
    retry = (folder / "retry.csv").read_bytes()
    assert rows_of(retry, "retry.csv") == [rows_of(content, "reviews.csv")[4]]
    sandbox.faults(answer_faults=None)
    drop_into(root, "sentiment", "again.csv", retry)
    again = delivered_to(processes, root, "again")
    (row,) = rows_of((again / "results.csv").read_bytes(), "results.csv")
    assert (row["review_id"], row["batchd_error"]) == ("1005", "")
    assert row["sentiment"]


def test_ids_that_come_twice_and_of_nobody_do_no_harm(processes, root, tmp_path):
    with_ready_tasks(tmp_path)
    content = (SAMPLES / "categorize_transactions.csv").read_bytes()
    faults = [
        {"what": "repeat", "ids": ["2", "3"]},
        {"what": "invent", "ids": ["4"]},
        {"what": "not_json", "ids": ["1"], "times": 1},  # the whole first request
    ]
    sandbox = processes.sandbox(answer_faults=faults)
    drop_into(root, "categorize_transactions", "bank.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "bank")
    results = read_lines(folder / "results.jsonl")
    assert [(result["ok"], result["attempts"]) for result in results] == [(True, 2)] * 8
    oddities = read_receipt(folder)["oddities"]
    assert (oddities["repeated_ids"], oddities["invented_ids"]) == (2, 1)
