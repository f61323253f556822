"""The first lines of RECEIPT.txt: how it went, in sentences, and what there is to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchd.core.words import duration, money

_NOT = {
    "rejected": "Nothing was sent and nothing was paid: something in the file must be mended first.",
    "failed": "Not one {word} was answered.",
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
    requests, word = receipt["requests"], "record" if receipt.get("task") else "request"
    total, succeeded = requests["total"], requests["succeeded"]
    if not succeeded:
        return _NOT["failed"].format(word=word)
    if succeeded == total:
        return (
            f"Your {word} was answered." if total == 1 else f"All {total:,} {word}s were answered."
        )
    rest = total - succeeded
    not_so = f"{rest:,} {'was' if rest == 1 else 'were'} not"
    return f"{succeeded:,} of {total:,} {word}s were answered, {not_so}."


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
    if retry := next((name for name in sorted(names) if name.startswith("retry.")), None):
        again = f"batchd retry {receipt['job']}"
        where = f" into inbox/{receipt['task']}/" if receipt.get("task") else ""
        yield f"errors.jsonl says why; to try these again, drop {retry}{where}, or: {again}"
