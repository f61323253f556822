"""What keeps the house in order by itself. Who may import whom is the import linter's (Makefile)."""

import ast
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import get_args

import pytest

from batchd.core import events as e
from batchd.core.model import JobState, ShardState
from batchd.core.states import JOB_MOVES, RELEASES, SETTLES, SHARD_MOVES

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "batchd"
MODULES = sorted(HOUSE.rglob("*.py"))

#: Folders whose every module is covered by a test file of its own name.
TESTED = (
    *("core", "store", "spool", "remote", "meters", "tables", "runtime", "rounds", "stages"),
    *("notices", "webhooks"),
)
LONGEST_MODULE = 400  #: lines: a file in which everything ends up begins to hurt here
MEDIAN_FUNCTION = 10  #: lines
CATCHES_ALL = {"runtime/loop.py"}  #: bugs are loud everywhere else

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(module: Path) -> str:
    return str(module.relative_to(HOUSE))


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


# Size


def test_no_module_is_longer_than_four_hundred_lines():
    lengths = {name_of(m): len(m.read_text(encoding="utf-8").splitlines()) for m in MODULES}
    assert {n: length for n, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_functions_are_short():
    lengths = sorted(
        ((length, f"{name_of(m)}:{where}") for m in MODULES for length, where in functions_of(m)),
        reverse=True,
    )
    longest = "\n".join(f"{length:5} {where}" for length, where in lengths[:15])
    assert median(length for length, _ in lengths) <= MEDIAN_FUNCTION, f"the longest:\n{longest}"


def functions_of(module: Path) -> Iterator[tuple[int, str]]:
    lines = module.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, Function):
            yield len(code_of(node, lines)), f"{node.lineno} {node.name}"


def code_of(function: Function, lines: list[str]) -> list[str]:
    """The lines of a body, without docstring, comments and blank lines."""
    first, *rest = function.body
    if is_docstring(first):
        if not rest:
            return []
        first = rest[0]
    body = (line.strip() for line in lines[first.lineno - 1 : function.end_lineno])
    return [line for line in body if line and not line.startswith("#")]


def is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


# Loud bugs


def test_everything_is_caught_in_one_place_only():
    """`except BaseException` may clean up, but has to raise again."""
    places = {f"{name_of(m)}:{line}" for m in MODULES for line in catching_all(m)}
    assert {place for place in places if place.split(":")[0] not in CATCHES_ALL} == set()


def catching_all(module: Path) -> Iterator[int]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ExceptHandler):
            caught = caught_by(node)
            if caught & {"", "Exception"} or ("BaseException" in caught and not raises(node)):
                yield node.lineno


def caught_by(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {""}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {kind.id for kind in kinds if isinstance(kind, ast.Name)}


def raises(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


# Statements


def statement_names() -> list[str]:
    text = (HOUSE / "store" / "queries.sql").read_text(encoding="utf-8")
    return re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)


def event_statements() -> set[str]:
    names = (event.__name__ for event in get_args(e.Event))
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names}


def test_every_event_has_its_statement():
    assert event_statements() - set(statement_names()) == set()


def test_every_statement_is_used():
    strings = {
        node.value
        for module in (HOUSE / "store").glob("*.py")
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(statement_names()) - event_statements() - strings == set()


def test_every_statement_has_a_name_of_its_own_and_a_sentence():
    names = statement_names()
    assert len(names) == len(set(names))
    text = (HOUSE / "store" / "queries.sql").read_text(encoding="utf-8")
    sentences = re.findall(r"^-- name: (\w+)\n-- \S", text, re.MULTILINE)
    assert sentences == names


# Tests


def test_every_module_has_its_test_file():
    tests = {str(path.relative_to(ROOT / "tests")) for path in ROOT.glob("tests/*/test_*.py")}
    missing = [
        name_of(module)
        for folder in TESTED
        for module in sorted((HOUSE / folder).glob("*.py"))
        if does_something(module) and f"{folder}/test_{module.stem}.py" not in tests
    ]
    assert not missing, "without a test file of their name:\n" + "\n".join(missing)


def does_something(module: Path) -> bool:
    """Whether a module has a function with a body: numbers and nouns are covered by their users."""
    nodes = (node for node in ast.walk(tree_of(module)) if isinstance(node, Function))
    return any(not isinstance(node.body[-1], ast.Expr) or calls(node) for node in nodes)


def calls(function: Function) -> bool:
    return any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(function.body[-1]))


# The picture


def state_picture() -> str:
    """Draw what may follow what: a line per move, grouped by state. For ARCHITECTURE.md."""
    jobs = [(state, event.__name__, after) for (state, event), after in JOB_MOVES.items()]
    jobs.append((SETTLES[0], "the last verdict", SETTLES[1]))
    jobs.append((RELEASES[0], "nothing to join", RELEASES[1]))
    shards = [(state, event.__name__, after) for (state, event), after in SHARD_MOVES.items()]
    return "\n".join(("Job", *drawn(JobState, jobs), "", "Shard", *drawn(ShardState, shards)))


def drawn(states: type[StrEnum], moves: list[tuple[StrEnum, str, StrEnum]]) -> Iterator[str]:
    order = list(states)
    width = max(map(len, order))
    arrow = max(len(event) for _, event, _ in moves)
    moves = sorted(moves, key=lambda move: order.index(move[0]))
    for _, group in groupby(moves, key=lambda move: move[0]):
        for state, event, after in group:
            line = "─" * (arrow - len(event) + 2)
            yield f"  {state:<{width}} ── {event} {line}▶ {after}"


def test_architecture_shows_the_states_as_they_are():
    """To draw it anew: `python -m tests.test_house`."""
    page = ROOT / "ARCHITECTURE.md"
    if not page.exists():
        pytest.skip("ARCHITECTURE.md is not written yet")
    text = page.read_text(encoding="utf-8")
    block = re.search(r"<!-- states:begin -->\n(.*?)<!-- states:end -->", text, re.DOTALL)
    assert block, "ARCHITECTURE.md has no block between states:begin and states:end"
    lines = [line for line in block[1].splitlines() if not line.startswith("```")]
    assert "\n".join(lines).strip("\n") == state_picture()


if __name__ == "__main__":
    sys.stdout.write(state_picture() + "\n")
