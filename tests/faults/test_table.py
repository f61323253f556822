"""Keeps docs/reliability.md honest: every fault has one row, and every test it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "reliability.md"
FAULTS = [f"F{number}" for number in range(1, 96)]
ROW = re.compile(r"^\| (F\d+) \| (.+) \| (.+) \| (.+) \|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str, str, str]]:
    """Number, what is injected, what the user sees, what shows it."""
    found = (ROW.match(line) for line in TABLE.read_text(encoding="utf-8").splitlines())
    return [(row[1], row[2], row[3], row[4]) for row in found if row]


def those_in(path: Path) -> Iterator[tuple[str, str]]:
    """The tests of a module, with their docstrings."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "test_" in node.name[:5]:
            yield node.name, ast.get_docstring(node) or ""


def test_every_fault_has_exactly_one_row():
    assert [row[0] for row in rows()] == FAULTS


def test_every_row_names_tests_that_are_there_or_says_why_there_is_none():
    for number, _, _, shown_by in rows():
        named = TEST.findall(shown_by)
        assert named or re.match(r"not (injected here|yet): .+", shown_by), number
        for path, name in named:
            assert name in dict(those_in(ROOT / path)), f"{number}: {path} has no {name}"


def test_every_test_of_a_fault_names_its_number_and_stands_in_its_row():
    shown_by = {row[0]: row[3] for row in rows()}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path == Path(__file__):
            continue
        for name, doc in those_in(path):
            numbers = re.findall(r"\bF\d+\b", doc.split(":")[0])
            assert numbers or re.match(r"R\d+:", doc), f"{path.name}::{name} names no fault"
            for number in numbers:
                assert "`tests/" in shown_by[number], f"{number} has a test: {path.name}::{name}"


def test_the_words_above_the_table_count_right():
    text = TABLE.read_text(encoding="utf-8")
    covered = [row for row in rows() if TEST.search(row[3])]
    assert f" {len(covered)} of {len(FAULTS)} have a test" in text
    without = ", ".join(row[0] for row in rows() if row not in covered)
    assert (f"{len(FAULTS) - len(covered)} have none: {without}, each" in text) is bool(without)
