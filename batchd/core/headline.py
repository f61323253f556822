"""The first lines of RECEIPT.txt: how it went, in sentences, and what there is to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchd.core.words import duration, money

_NOT = {
    "rejected": "Nothing was sent and nothing was paid: something in the file must be mended first.",
    "failed": "Not one request was answered.",
}


def headline(receipt: Mapping[str, Any]) -> list[str]:
    """Say it to a person."""
    return [*_how_it_went(receipt), *_what_to_do(receipt)]


def _how_it_went(receipt: Mapping[str, Any]) -> Iterator[str]:
    if receipt["outcome"] == "rejected":
        yield _NOT["rejected"]
        return
    yield _answered(receipt)
    took = f"It took {duration(receipt['times']['seconds'])}"
    yield f"{took}{_paid(receipt)}."


def _answered(receipt: Mapping[str, Any]) -> str:
    requests = receipt["requests"]
    total, succeeded = requests["total"], requests["succeeded"]
    if not succeeded:
        return _NOT["failed"]
    if succeeded == total:
        return (
            "Your request was answered." if total == 1 else f"All {total:,} requests were answered."
        )
    rest = total - succeeded
    not_so = f"{rest:,} {'was' if rest == 1 else 'were'} not"
    return f"{succeeded:,} of {total:,} requests were answered, {not_so}."


def _paid(receipt: Mapping[str, Any]) -> str:
    if receipt.get("joined"):
        return f" and cost nothing: the answers are those of job {receipt['joined']}"
    cost = receipt["cost"]
    if not cost:
        return ", and what it cost is not known"
    saved = f", {money(cost['saving'])} less than without batches" if cost["saving"] else ""
    return f" and cost {money(cost['amount'])} {cost['currency']}{saved}"


def _what_to_do(receipt: Mapping[str, Any]) -> Iterator[str]:
    names = {file["name"] for file in receipt["files"]}
    if "error.txt" in names:
        yield "The first line of error.txt says what; then drop it again."
    if "retry.jsonl" in names:
        again = f"batchd retry {receipt['job']}"
        yield f"errors.jsonl says why; to try these again, drop retry.jsonl, or: {again}"
