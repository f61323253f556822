"""docs/events.md lists every event of the log with its facts, kept equal to the code here.

`python -m tests.test_events` prints the rows that the code has and the page lacks.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "events.md"
LEVELS = ("debug", "info", "warning", "error", "critical")
#: Events are logged by `log.LEVEL(NAME, ...)`. Where the level is decided first, or the lines are
#: gathered and logged once they are recorded, it is by a call of one of these names.
ALIASES = {"runtime/watcher.py": "write", "stages/poll.py": "_tell"}
NAME = re.compile(r"[a-z]+\.[a-z_]+")
ROW = re.compile(r"^\| `([^`]+)` \| ([a-z, ]+) \| (.*) \| (.+) \|$")


class Event(NamedTuple):
    """All calls of one name together."""

    levels: frozenset[str]
    facts: frozenset[str]
    is_open: bool  #: there are facts that no call names: **facts


def modules() -> list[Path]:
    """The program's own; the sandbox is another one."""
    house = ROOT / "batchd"
    return [m for m in sorted(house.rglob("*.py")) if m.relative_to(house).parts[0] != "sandbox"]


def in_code() -> dict[str, Event]:
    """Every event that the code can log; STAGE is the name of any stage."""
    found: dict[str, list[tuple[set[str], ast.Call]]] = defaultdict(list)
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name, levels = name_in(node.args[0]), levels_of(node.func, module)
                if name and levels is not None:
                    found[name].append((levels, node))
    return {name: together(calls) for name, calls in found.items()}


def name_in(node: ast.expr) -> str | None:
    """A text, or one that begins with a stage's name."""
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
        stage, rest = node.values
        if isinstance(stage, ast.FormattedValue) and isinstance(rest, ast.Constant):
            return f"STAGE{rest.value}" if NAME.fullmatch(f"stage{rest.value}") else None
    is_name = isinstance(node, ast.Constant) and NAME.fullmatch(str(node.value))
    return str(node.value) if isinstance(node, ast.Constant) and is_name else None


def levels_of(called: ast.expr, module: Path) -> set[str] | None:
    """The level of a call; empty where it is decided elsewhere, None for what logs nothing."""
    if isinstance(called, ast.Attribute) and called.attr in LEVELS and is_log(called.value):
        return {called.attr}
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return set() if name == ALIASES.get(str(module.relative_to(ROOT / "batchd"))) else None


def is_log(node: ast.expr) -> bool:
    """`log`, or `structlog.get_logger()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "get_logger"
    return isinstance(node, ast.Name) and node.id == "log"


def together(calls: list[tuple[set[str], ast.Call]]) -> Event:
    keywords = [keyword for _, call in calls for keyword in call.keywords]
    facts = {keyword.arg for keyword in keywords if keyword.arg}
    if "exc_info" in facts:
        facts = facts - {"exc_info"} | {"exception"}
    is_open = any(keyword.arg is None for keyword in keywords)
    is_alias = any(not levels for levels, _ in calls)
    levels = frozenset().union(*(levels for levels, _ in calls))
    return Event(levels, frozenset(facts), is_open or is_alias)


class Row(NamedTuple):
    """What the page says of an event."""

    levels: frozenset[str]
    facts: frozenset[str]
    meaning: str


def on_page() -> dict[str, Row]:
    rows = [ROW.match(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {
        row[1]: Row(
            frozenset(row[2].split(", ")), frozenset(re.findall(r"`(\w+)`", row[3])), row[4]
        )
        for row in rows
        if row
    }


def test_the_page_has_every_event_and_no_other():
    assert on_page().keys() == in_code().keys(), "python -m tests.test_events prints new rows"


def test_the_page_has_the_events_in_order_and_once():
    names = [row[1] for line in PAGE.read_text().splitlines() if (row := ROW.match(line))]
    assert names == sorted(set(names))


def test_every_event_has_its_facts_and_its_level():
    for name, event in in_code().items():
        row = on_page()[name]
        assert event.facts <= row.facts, f"{name}: the page lacks {event.facts - row.facts}"
        assert event.is_open or row.facts <= event.facts, f"{name}: {row.facts - event.facts}"
        assert event.levels <= row.levels <= set(LEVELS), name
        assert event.is_open or row.levels == event.levels, name


def test_whatever_logs_is_found():
    """A method of `log` that is handed on is called by a name that is not found here."""
    handing = set()
    for module in modules():
        tree = ast.parse(module.read_text(encoding="utf-8"))
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            is_method = isinstance(node, ast.Attribute) and node.attr in LEVELS
            if is_method and is_log(node.value) and id(node) not in called:
                handing.add(str(module.relative_to(ROOT / "batchd")))
    assert handing == set(ALIASES)


def rows() -> Iterator[str]:
    """Rows for what the page lacks; the meaning is for a person to write."""
    known = on_page() if PAGE.exists() else {}
    for name, event in sorted(in_code().items()):
        if name not in known:
            facts = ", ".join(f"`{fact}`" for fact in sorted(event.facts))
            yield f"| `{name}` | {', '.join(sorted(event.levels)) or 'info'} | {facts} | ... |"


if __name__ == "__main__":
    sys.stdout.write("".join(f"{row}\n" for row in rows()))
