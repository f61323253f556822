"""Tables that nobody on this project wrote, through the ready tasks: in order, whole, each its own.

The published ones lie beside the repository, and only there; the transactions are generated.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from batchd.sandbox.digests import share_of
from tests.acceptance.tables import (
    DATA,
    all_rows,
    answer_of,
    asked_ids,
    check_table,
    delivered_to,
    drop_into,
    expected_entries,
    misfits,
    requests_of,
    rows_of,
    same_cell,
    transactions,
    with_ready_tasks,
    words_of,
)
from tests.houses import read_lines, read_receipt

pytestmark = pytest.mark.processes


def published(name: str) -> bytes:
    if not (DATA / name).exists():
        pytest.skip(f"{name} does not lie beside the repository")
    return (DATA / name).read_bytes()


def check_answers(folder: Path, rows: list[dict[str, Any]], requests: list[Any]) -> None:
    """Each row's answer is the one to its own request, in results.jsonl and beside the row."""
    results = read_lines(folder / "results.jsonl")
    assert [result["ok"] for result in results] == [True] * len(rows)
    assert [request["custom_id"] for request in requests] == [
        str(number) for number in range(1, len(rows) + 1)
    ]
    for row, request, result in zip(rows, requests, results, strict=True):
        expected = answer_of(request)
        assert result["output"] == expected
        if isinstance(expected, dict):
            assert all(same_cell(row[name], value) for name, value in expected.items())


@pytest.mark.parametrize("task", ["qualify", "parse"])
def test_three_thousand_job_postings_come_back_in_order_each_with_its_own_answer(
    processes, root, tmp_path, task
):
    content = published("job_postings.csv")
    tasks = with_ready_tasks(tmp_path)
    schema = tomllib.loads((tasks / f"{task}.toml").read_text())["output"]["schema"]
    sandbox = processes.sandbox()
    drop_into(root, task, "postings.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "postings")
    rows = check_table(folder, content)
    assert len(rows) == 3083
    (requests,) = requests_of(root, folder)
    check_answers(folder, rows, requests)
    for row, request in zip(rows, requests, strict=True):
        assert f"\nTitle: {row['title']}\n" in f"\n{words_of(request)}"
    outputs = (result["output"] for result in read_lines(folder / "results.jsonl"))
    assert misfits(schema, outputs) == []
    assert read_receipt(folder)["requests"]["succeeded"] == 3083


def test_a_thousand_reviews_are_judged_by_their_texts(processes, root, tmp_path):
    content = published("food_reviews.csv")
    with_ready_tasks(tmp_path)
    sandbox = processes.sandbox()
    drop_into(root, "sentiment", "reviews.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "reviews")
    rows = check_table(folder, content)
    assert len(rows) == 1000
    (requests,) = requests_of(root, folder)
    check_answers(folder, rows, requests)
    # The sandbox goes by words; with the stars that people gave, it agrees more often than not.
    stars = {"positive": ("4", "5"), "negative": ("1", "2"), "neutral": ("3",)}
    agreed = sum(row["Score"] in stars[row["sentiment"]] for row in rows)
    assert agreed > 500


def test_a_thousand_reviews_become_vectors(processes, root, tmp_path):
    content = published("food_reviews.csv")
    with_ready_tasks(tmp_path)
    sandbox = processes.sandbox()
    drop_into(root, "embed", "reviews.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "reviews")
    rows = check_table(folder, content)
    (requests,) = requests_of(root, folder)
    check_answers(folder, rows, requests)
    assert [request["body"]["input"] for request in requests] == [row["Text"] for row in rows]
    assert {len(result["output"]) for result in read_lines(folder / "results.jsonl")} == {512}
    assert list(rows[0])[-1] == "batchd_error"
    assert "embedding" not in rows[0]


def test_of_a_thousand_transactions_only_the_missing_ones_travel_again(processes, root, tmp_path):
    """Ten per request; 3 % of the entries are missing (most once, some always), and 1 % are
    followed by one of nobody's."""
    content = transactions(1000)
    with_ready_tasks(tmp_path)
    faults = [
        {"what": "drop", "rate": 0.025, "times": 1},
        {"what": "drop", "rate": 0.005},
        {"what": "invent", "rate": 0.01},
    ]
    sandbox = processes.sandbox(answer_faults=faults)
    drop_into(root, "categorize_transactions", "bank.csv", content)
    processes.daemon(root, sandbox)

    folder = delivered_to(processes, root, "bank")
    rows = check_table(folder, content)
    rounds = requests_of(root, folder)
    results = read_lines(folder / "results.jsonl")
    asked = [[name for request in each for name in asked_ids(request)] for each in rounds]
    assert asked[0] == [result["custom_id"] for result in results] == all_rows(1000)
    assert [len(each) for each in rounds] == [100, -(-len(asked[1]) // 10), -(-len(asked[2]) // 10)]

    # What was asked once more is what was missing, and nothing else.
    once, always, invented = (struck(number, rule["rate"]) for number, rule in enumerate(faults))
    assert (len(once | always), len(always), len(invented)) == (32, 2, 8)
    assert (set(asked[1]), set(asked[2])) == (once | always, always)
    attempts = {result["custom_id"]: result["attempts"] for result in results}
    assert set(asked[1]) == {name for name, count in attempts.items() if count > 1}
    failed = [result for result in results if not result["ok"]]
    assert [result["custom_id"] for result in failed] == asked[2]
    assert {result["error"]["code"] for result in failed} == {"missing_record"}

    expected = expected_entries(rounds)
    for row, result in zip(rows, results, strict=True):
        if result["ok"]:
            assert result["output"] == expected[result["custom_id"]]
            assert (row["category"], row["batchd_error"]) == (result["output"]["category"], "")
        else:
            assert row["batchd_error"].startswith("missing_record: ")
            assert row["category"] == ""
    check_receipt(read_receipt(folder), failed=len(failed), invented=len(invented))
    retried = rows_of((folder / "retry.csv").read_bytes(), "retry.csv")
    assert [row["description"][-5:] for row in retried] == [f"{int(n):05}" for n in asked[2]]


def struck(rule: int, rate: float) -> set[str]:
    """Whose answers a rule of the sandbox strikes: the same ones every time."""
    return {name for name in all_rows(1000) if share_of("answer", str(rule), name) < rate}


def check_receipt(receipt: dict[str, Any], *, failed: int, invented: int) -> None:
    requests = receipt["requests"]
    assert (requests["total"], requests["failed"]) == (1000, failed)
    assert requests["succeeded"] == 1000 - failed
    assert receipt["rounds"] == 3
    assert receipt["errors"]["missing_record"]["count"] == failed
    assert receipt["oddities"]["invented_ids"] == invented
    assert [batch["requests"] for batch in receipt["batches"]] == [100, 4, 1]
