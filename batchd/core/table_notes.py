"""What a receipt says of how a table was read: what was guessed, and what comes back otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchd.core.records import Kind, Layout

_OF_LETTERS: frozenset[Kind] = frozenset({"csv", "tsv", "json", "jsonl", "text"})


def table_facts(layout: Layout) -> dict[str, Any]:
    """Return how a table was read, for receipt.json."""
    facts: dict[str, Any] = {"format": layout.format}
    if layout.format in _OF_LETTERS:
        facts |= {"encoding": layout.encoding, "encoding_guessed": layout.is_guessed}
    if layout.format in ("csv", "tsv"):
        facts |= {"delimiter": layout.delimiter, "results_encoding": layout.result_encoding}
    return facts


def table_in_words(facts: Mapping[str, Any] | None) -> list[str]:
    """Say what a person should look at: letters that may be wrong, or come back otherwise."""
    if not facts or "encoding" not in facts:
        return []
    encoding, told = facts["encoding"], list[str]()
    if facts["encoding_guessed"]:
        told.append(
            f"its letters were guessed to be {encoding}; where they come out wrong, name the"
            " encoding in the task: [input] encoding"
        )
    if facts.get("results_encoding", encoding) != encoding:
        told.append(
            f"the results are in {facts['results_encoding']}: {encoding} lacks letters that answers"
            " may have"
        )
    return told
