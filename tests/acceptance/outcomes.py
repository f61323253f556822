"""What the acceptance tests drop and what they expect back, computed by the sandbox's own rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchd.sandbox.answers import answer_for
from tests.acceptance.processes import Processes, Sandbox
from tests.houses import delivered, read_lines, read_receipt

Requests = list[dict[str, Any]]


def finished(
    processes: Processes, root: Path, *names: str, within: float = 60.0
) -> dict[str, Path]:
    """Wait for a folder of each dropped file; return all folders by the stem of their file."""
    missing = set(names)

    def all_there() -> bool:
        missing.difference_update(delivered(root))
        return not missing

    processes.wait(all_there, within=within, what=f"delivery of {sorted(names)}")
    return delivered(root)


def expected_output(request: dict[str, Any]) -> str:
    """The answer that belongs to a chat request and to no other."""
    answer = answer_for(request["url"], request["body"])
    return str(answer["choices"][0]["message"]["content"])


def check_results(
    folder: Path, requests: Requests, *, failed: frozenset[str] = frozenset()
) -> None:
    """One line per request, in input order, each with its own answer or its own error."""
    results = read_lines(folder / "results.jsonl")
    assert [r["custom_id"] for r in results] == [r["custom_id"] for r in requests]
    for result, request in zip(results, requests, strict=True):
        good = request["custom_id"] not in failed
        assert result["ok"] is good, result
        assert result["output"] == (expected_output(request) if good else None), result


def check_failures(folder: Path, requests: Requests, failed: frozenset[str]) -> None:
    """Exactly the failed ones, in input order, with their line; and ready to be dropped again."""
    expected = [(n, r) for n, r in enumerate(requests, start=1) if r["custom_id"] in failed]
    errors = read_lines(folder / "errors.jsonl")
    assert [(e["line"], e["custom_id"]) for e in errors] == [
        (n, r["custom_id"]) for n, r in expected
    ]
    assert read_lines(folder / "retry.jsonl") == [r for _, r in expected]


def check_receipt(folder: Path, *, total: int, failed: int = 0) -> dict[str, Any]:
    """Its counts add up, its tokens are those of the answers, its hashes those of the files."""
    receipt = read_receipt(folder)
    counts = dict(receipt["requests"])
    assert counts.pop("total") == total == sum(counts.values())
    assert counts["succeeded"] == total - failed
    assert sum(e["count"] for e in receipt["errors"].values()) == failed
    _check_usage(folder, receipt)
    _check_files(folder, receipt)
    return receipt


def _check_usage(folder: Path, receipt: dict[str, Any]) -> None:
    used = [line["usage"] for line in read_lines(folder / "results.jsonl") if line["usage"]]
    for name in ("input_tokens", "output_tokens"):
        assert receipt["usage"][name] == sum(usage[name] for usage in used)


def _check_files(folder: Path, receipt: dict[str, Any]) -> None:
    listed = {file["name"]: file for file in receipt["files"]}
    lying = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(listed) == lying - {"receipt.json", "RECEIPT.txt"}
    for name, file in listed.items():
        path = folder / name
        assert file["bytes"] == path.stat().st_size
        with path.open("rb") as content:
            assert file["sha256"] == hashlib.file_digest(content, "sha256").hexdigest()


def shards_of(sandbox: Sandbox) -> list[str]:
    """The shard of every batch that was ever created, as its metadata says."""
    batches = sandbox.ledger(executions=False)["batches"]
    return [batch["metadata"]["batchd_shard"] for batch in batches]


def executed_more_than_once(sandbox: Sandbox) -> set[str]:
    """custom_ids that were executed twice, in one batch or in several."""
    return {name for name, times in sandbox.ledger()["executions"].items() if times > 1}


def jsonl(requests: Iterable[dict[str, Any]]) -> bytes:
    """Request lines as bytes."""
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)
