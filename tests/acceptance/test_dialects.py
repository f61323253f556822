"""Other providers: the same file, the same folder, with the settings of docs/providers.md."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.outcomes import check_failures, check_receipt, check_results, finished
from tests.houses import drop, requests
from tests.remote.providers import CHAT, HABITS

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("dialect", ["azure", "together", "zhipu", "maritaca"])
def test_a_file_becomes_its_folder_at_a_provider_with_an_accent(processes, root, dialect):
    """The four that differ most; one request fails, one is tried again."""
    habits = HABITS[dialect]
    sent = requests(12)
    spelled = [request | {"url": habits.endpoints[CHAT]} for request in sent]
    sandbox = processes.sandbox(
        dialect=dialect,
        request_faults=[
            {"custom_ids": ["r-3"], "status": 400},
            {"custom_ids": ["r-5"], "status": 500, "times": 1},
        ],
    )
    settings = {f"openai__{name}": json.dumps(value) for name, value in habits.openai.items()}
    processes.daemon(root, sandbox, **settings)
    drop(root, "a.jsonl", spelled)

    folder = finished(processes, root, "a")["a"]
    check_results(folder, sent, failed=frozenset({"r-3"}))
    check_failures(folder, spelled, frozenset({"r-3"}))
    receipt = check_receipt(folder, total=12, failed=1)
    assert [batch["status"] for batch in receipt["batches"]] == ["completed"] * 2
    executions = sandbox.ledger()["executions"]
    assert executions == {request["custom_id"]: 1 for request in sent} | {"r-5": 2}


def test_a_batch_in_doubt_is_found_where_metadata_is_forgotten(processes, root):
    """By its input file, of which each is used once."""
    sandbox = processes.sandbox(
        dialect="together",
        http=[{"route": "POST /v1/batches", "disconnect": "after", "times": 1}],
    )
    settings = {f"openai__{k}": json.dumps(v) for k, v in HABITS["together"].openai.items()}
    daemon = processes.daemon(root, sandbox, **settings)
    drop(root, "a.jsonl", requests(5))

    check_results(finished(processes, root, "a")["a"], requests(5))
    assert daemon.events("submit.doubted")
    assert sandbox.calls("POST /v1/batches") == 1
