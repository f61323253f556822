"""A file as large as the provider takes: all its answers in order, with memory flat."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from batchd.sandbox.answers import answer_for
from tests.acceptance.outcomes import finished
from tests.houses import read_receipt, request

pytestmark = pytest.mark.processes

REQUESTS = int(os.environ.get("BATCHD_TEST_LARGE") or 49_900)
TEXT_BYTES = 3_830  # with the rest of a line: 198 MB in 49,900 requests
MOST_MEGABYTES = 200


@pytest.fixture
def large(root) -> Iterator[Path]:
    """The file, in the inbox; it and all that was made of it are removed in the end.

    Asked for before the processes, which are therefore gone by then.
    """
    hidden = root / "inbox" / ".tmp" / "large.jsonl"
    hidden.parent.mkdir(parents=True)
    with hidden.open("w") as file:
        for number in range(REQUESTS):
            file.write(json.dumps(large_request(number)) + "\n")
    yield hidden.rename(root / "inbox" / "large.jsonl")
    shutil.rmtree(root)


def large_request(number: int) -> dict[str, Any]:
    words = f"question {number}: what of this is new? "
    return request(f"r-{number}", text=(words * 120)[:TEXT_BYTES])


def test_a_file_of_198_megabytes_comes_back_in_order_with_memory_flat(
    large, processes, root, record_property
):
    size = large.stat().st_size
    assert size > 195_000_000 or REQUESTS < 49_900
    sandbox = processes.sandbox(batch_seconds=2)
    daemon = processes.daemon(root, sandbox)
    folder = finished(processes, root, "large", within=180)["large"]
    peak = daemon.peak_megabytes()
    seconds = read_receipt(folder)["times"]["seconds"]
    record_property("peak_megabytes", round(peak))
    print(f"{size / 1e6:.0f} MB: {seconds:.1f} s, {peak:.0f} MB at the peak")  # noqa: T201

    check_in_order(folder / "results.jsonl")
    assert read_receipt(folder)["requests"]["succeeded"] == REQUESTS
    assert len(sandbox.ledger(executions=False)["batches"]) == 1
    assert peak < MOST_MEGABYTES


def check_in_order(path: Path) -> None:
    """Every line is its request's; each hundredth is compared with the expected answer."""
    numbers = count()
    with path.open("rb") as lines:
        for number, line in zip(numbers, lines, strict=False):
            result = json.loads(line)
            assert result["custom_id"] == f"r-{number}"
            assert result["ok"]
            if number % 100 == 0:
                assert result["output"] == output_of(number)
    assert next(numbers) == REQUESTS + 1


def output_of(number: int) -> str:
    asked = large_request(number)
    return str(answer_for(asked["url"], asked["body"])["choices"][0]["message"]["content"])


PACKED_REQUESTS, PACKED_TEXT = 300, 1_000_000  #: 300 MB in few lines: it is bytes that fill memory


@pytest.fixture
def packed(root) -> Iterator[Path]:
    """300 MB of lines in a small file; removed like the other."""
    hidden = root / "inbox" / ".tmp" / "packed.jsonl.gz"
    hidden.parent.mkdir(parents=True)
    with gzip.open(hidden, "wt") as file:
        for number in range(PACKED_REQUESTS):
            words = f"question {number}: "
            text = (words * (PACKED_TEXT // len(words) + 1))[:PACKED_TEXT]
            file.write(json.dumps(request(f"r-{number}", text=text)) + "\n")
    yield hidden.rename(root / "inbox" / "packed.jsonl.gz")
    shutil.rmtree(root)


def test_300_megabytes_out_of_a_small_gzip_file_come_back_with_memory_flat(
    packed, processes, root, record_property
):
    assert packed.stat().st_size < 5_000_000
    sandbox = processes.sandbox(batch_seconds=2)
    daemon = processes.daemon(root, sandbox)
    folder = finished(processes, root, "packed", within=180)["packed"]
    peak = daemon.peak_megabytes()
    record_property("peak_megabytes", round(peak))
    seconds = read_receipt(folder)["times"]["seconds"]
    print(f"300 MB of gzip: {seconds:.1f} s, {peak:.0f} MB at the peak")  # noqa: T201

    results = (folder / "results.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["custom_id"] for line in results] == [
        f"r-{number}" for number in range(PACKED_REQUESTS)
    ]
    assert read_receipt(folder)["requests"]["succeeded"] == PACKED_REQUESTS
    assert len(sandbox.ledger(executions=False)["batches"]) == 2
    assert peak < MOST_MEGABYTES
