"""A table through real daemons that are killed on the way: each row has its own answer, bought once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.outcomes import shards_of
from tests.acceptance.processes import Processes
from tests.acceptance.tables import answer_of, asked_ids, delivered_to, drop_into, requests_of
from tests.dropped_tables import GROUPED, NAMED, rows_of_csv, table
from tests.houses import read_lines, read_receipt

pytestmark = pytest.mark.processes

ROWS, KILLS, LONGEST_LIFE = 300, 5, 1.5  # seconds after daemon.ready
SETTINGS = {"batches__max_requests": 40, "openai__timeout_seconds": 2}


def test_killed_again_and_again_every_row_has_its_own_answer_bought_once(
    processes: Processes, root: Path, tmp_path: Path
):
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    print(f"BATCHD_TEST_SEED={seed} repeats these moments")  # noqa: T201  # shown when it fails
    moments = random.Random(seed)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "judge.toml").write_text(NAMED.format(GROUPED))
    lost = {"route": "POST /v1/batches", "disconnect": "after", "rate": 0.33}
    passing = [{"status": 429, "custom_ids": ["4", "151"], "times": 1}]
    sandbox = processes.sandbox(batch_seconds=1, request_faults=passing, http=[lost])
    drop_into(root, "judge", "people.csv", table(ROWS).encode())

    for _ in range(KILLS):
        daemon = processes.daemon(root, sandbox, **SETTINGS)
        time.sleep(moments.uniform(0, LONGEST_LIFE))  # the moment itself
        daemon.kill()
    processes.daemon(root, sandbox, **SETTINGS)
    folder = delivered_to(processes, root, "people", within=120)

    rows, lines = rows_of_csv(folder / "results.csv"), read_lines(folder / "results.jsonl")
    keys = [f"k{n}" for n in range(1, ROWS + 1)]
    assert [row["key"] for row in rows] == [line["custom_id"] for line in lines] == keys
    assert all(line["ok"] for line in lines)
    expected = {}
    for request in (one for each in requests_of(root, folder) for one in each):
        answers = {entry["id"]: entry["answer"] for entry in answer_of(request)["records"]}
        expected.update({id: answers[id] for id in asked_ids(request)})
    assert {line["custom_id"]: line["output"] for line in lines} == expected
    assert [(row["verdict"], int(row["score"])) for row in rows] == [
        (expected[key]["verdict"], expected[key]["score"]) for key in keys
    ]
    assert len(shards_of(sandbox)) == len(set(shards_of(sandbox)))
    again = [line["custom_id"] for line in lines if line["attempts"] > 1]
    assert again == ["k4", "k5", "k6", "k151", "k152", "k153"], "only what a 429 kept back"
    bill = read_receipt(folder)
    assert Counter(batch["records"] for batch in bill["batches"])[6] == 1
    assert bill["requests"] == {
        "total": ROWS, "succeeded": ROWS, "failed": 0, "expired": 0, "cancelled": 0
    }  # fmt: skip
