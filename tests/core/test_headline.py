"""A receipt begins with what a person wants to know."""

from __future__ import annotations

from typing import Any

import pytest

from batchd.core.headline import headline

COST = {"amount": 1.5, "saving": 1.25, "currency": "USD"}


def receipt(succeeded: int, total: int, *files: str, **other: Any) -> dict[str, Any]:
    return {
        "job": "0tqe86",
        "outcome": "completed",
        "requests": {"total": total, "succeeded": succeeded},
        "times": {"seconds": 8_010.0},
        "cost": COST,
        "files": [{"name": name} for name in files],
        **other,
    }


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        (
            receipt(120, 120),
            [
                "All 120 requests were answered.",
                "It took 2 h 13 min and cost 1.50 USD, 1.25 less than without batches.",
            ],
        ),
        (receipt(1, 1, cost={**COST, "saving": None}),
         ["Your request was answered.", "It took 2 h 13 min and cost 1.50 USD."]),
        (
            receipt(1_119, 1_120, "results.jsonl", "retry.jsonl", cost=None),
            [
                "1,119 of 1,120 requests were answered, 1 was not.",
                "It took 2 h 13 min, and what it cost is not known.",
                "errors.jsonl says why; to try these again, drop retry.jsonl, or: batchd retry 0tqe86",
            ],
        ),
        (receipt(0, 3, joined="0tqe85"), [
            "Not one request was answered.",
            "It took 2 h 13 min and cost nothing: the answers are those of job 0tqe85.",
        ]),
        (
            receipt(0, 0, "error.txt", outcome="rejected"),
            [
                "Nothing was sent and nothing was paid: something in the file must be mended first.",
                "The first line of error.txt says what; then drop it again.",
            ],
        ),
    ],
)  # fmt: skip
def test_it_says_how_it_went_and_what_to_do(told, lines):
    assert headline(told) == lines
