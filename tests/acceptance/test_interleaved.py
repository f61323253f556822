"""Three models and two endpoints in one file, request by request: few batches, and in order."""

from __future__ import annotations

import json
from collections import Counter
from itertools import cycle, islice, zip_longest
from pathlib import Path
from typing import Any

import pytest

from batchd.sandbox.answers import answer_for
from tests.acceptance.outcomes import finished
from tests.houses import read_receipt, request

pytestmark = pytest.mark.processes

REQUESTS = 130_000
#: What comes in turn: of 130,000, 70,000 are of the first kind, 40,000 of the second, 20,000 of
#: the third. By 50,000 a batch that is two batches, one and one: none fewer would hold them.
TURN = ("small",) * 7 + ("large",) * 4 + ("vectors",) * 2
FEWEST = {"gpt-4o-mini": 2, "gpt-4.1": 1, "text-embedding-3-small": 1}


def asked(number: int, kind: str) -> dict[str, Any]:
    if kind == "vectors":
        body = {"model": "text-embedding-3-small", "input": f"text {number}", "dimensions": 4}
        line = {"custom_id": f"r-{number}", "method": "POST", "url": "/v1/embeddings"}
        return {**line, "body": body}
    model = "gpt-4.1" if kind == "large" else "gpt-4o-mini"
    return request(f"r-{number}", model=model, text=f"question {number}")


def expected(line: dict[str, Any]) -> Any:
    answer = answer_for(line["url"], line["body"])
    if line["url"] == "/v1/embeddings":
        return answer["data"][0]["embedding"]
    return answer["choices"][0]["message"]["content"]


def test_a_file_of_many_kinds_takes_the_fewest_batches_and_comes_back_in_order(processes, root):
    hidden = root / "inbox" / ".tmp" / "mixed.jsonl"
    hidden.parent.mkdir(parents=True)
    with hidden.open("w") as file:
        for number, kind in enumerate(islice(cycle(TURN), REQUESTS)):
            file.write(json.dumps(asked(number, kind)) + "\n")
    hidden.rename(root / "inbox" / "mixed.jsonl")

    sandbox = processes.sandbox(batch_seconds=1)
    processes.daemon(root, sandbox)
    folder = finished(processes, root, "mixed", within=240)["mixed"]

    receipt = read_receipt(folder)
    assert receipt["requests"]["succeeded"] == REQUESTS
    assert Counter(batch["model"] for batch in receipt["batches"]) == FEWEST
    assert len(sandbox.ledger(executions=False)["batches"]) == sum(FEWEST.values())
    check(folder / "results.jsonl")


def check(path: Path) -> None:
    kinds = islice(cycle(TURN), REQUESTS)
    with path.open("rb") as lines:
        for number, (kind, line) in enumerate(zip_longest(kinds, lines)):
            result = json.loads(line)
            assert result["custom_id"] == f"r-{number}"
            if number % 97 == 0:  # of every kind
                assert result["output"] == expected(asked(number, kind))
