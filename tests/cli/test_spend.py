"""`batchd spend`: a table for people, one object for programs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.store.identity import APPLICATION_ID, create

TODAY = datetime.now(UTC).date()
YESTERDAY, LONG_AGO = TODAY - timedelta(days=1), TODAY - timedelta(days=400)
#: day, task, model, requests, tokens in, cached, out, reasoning, cost, direct, unpriced
ROWS = [
    (LONG_AGO, "", "gpt-4o-mini", 9, 900, 0, 90, 0, 0.9, 1.8, 0),
    (YESTERDAY, "", "gpt-4o-mini", 100, 12_000, 4_000, 3_000, 0, 1.5, 3.0, 0),
    (TODAY, "", "gpt-4o-mini", 10, 1_200, 0, 300, 0, 0.25, 0.5, 0),
    (TODAY, "qualify", "gpt-5", 4, 400, 100, 800, 600, 12.0, 24.0, 0),
    (TODAY, "qualify", "own-model", 7, 70, 0, 7, 0, 0.0, 0.0, 7),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "var").mkdir()
    database = tmp_path / "var" / "batchd.db"
    create(database, version=2)
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = [(str(day), *rest) for day, *rest in ROWS]
        connection.executemany(f"INSERT INTO spend VALUES ({', '.join('?' * 11)})", rows)
    return tmp_path


def spend(root: Path, *arguments: str) -> int:
    return invoke(batchd, ["spend", "--set", f"folders.root={root}", *arguments])


def told(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert spend(root, *arguments) == Exit.OK
    return capsys.readouterr().out


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.split("\n\n")[0].splitlines()]


def test_a_line_for_each_day_and_their_sum(root, capsys):
    out = cells(told(root, capsys))
    head = [
        "day",
        "requests",
        "in",
        "cached",
        "out",
        "reasoning",
        "cost",
        "USD",
        "saved",
        "USD",
        "unpriced",
    ]
    assert out[0] == head
    assert out[2] == [str(YESTERDAY), "100", "12,000", "4,000", "3,000", "0", "1.50", "1.50", "-"]
    assert out[3] == [str(TODAY), "21", "1,670", "100", "1,107", "600", "12.25", "12.25", "7"]
    assert out[4][:2] == ["total", "130"]


def test_a_price_that_nobody_knows_is_told_and_not_taken_for_zero(root, capsys):
    out = cells(told(root, capsys, "--by", "model", "--since", str(TODAY)))
    assert [line[0] for line in out] == ["model", "gpt-4o-mini", "gpt-5", "own-model", "total"]
    assert out[3][-3:] == ["unknown", "unknown", "7"]
    assert out[4][-3:] == ["12.25", "12.25", "7"]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("--by", "task"), ["", "qualify"]),
        (("--by", "month", "--since", str(TODAY)), [str(TODAY)[:7]]),
        (("--since", str(YESTERDAY)), [str(YESTERDAY), str(TODAY)]),
        (("--since", "1d"), [str(YESTERDAY), str(TODAY)]),
        (("--since", "9999-01-01"), []),
    ],
)
def test_it_is_added_up_as_asked(root, capsys, arguments, keys):
    found = json.loads(told(root, capsys, "--json", *arguments))
    assert [line["key"] for line in found["lines"]] == keys
    assert found["total"]["requests"] == sum(line["requests"] for line in found["lines"])
    assert found["total"]["cost"] == pytest.approx(sum(line["cost"] for line in found["lines"]))


def test_the_budget_is_told_with_its_limits(root, capsys):
    out = told(root, capsys, "--set", "budget.per_day=50", "--json")
    budget = json.loads(out)["budget"]
    assert budget["spent_today"] == 12.25
    assert budget["spent_this_month"] == (13.75 if TODAY.month == YESTERDAY.month else 12.25)
    assert (budget["per_day"], budget["per_month"], budget["under_way"]) == (50.0, None, 0.0)

    out = told(root, capsys, "--set", "budget.per_day=50")
    assert "today       12.25 of 50.00 USD (budget.per_day)\n" in out
    assert " of unlimited USD (budget.per_month)\n" in out
    assert "under way   0.00 USD expected\n" in out


def test_where_nothing_was_spent_it_says_so(tmp_path, capsys):
    assert told(tmp_path, capsys).startswith("nothing was spent\n")
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_none_is_a_mistake_in_the_command(root, capsys):
    assert spend(root, "--since", "2026-13-41") == Exit.USAGE
    assert "is no moment" in capsys.readouterr().err


def test_an_older_ledger_says_that_it_has_no_sums(tmp_path, capsys):
    (tmp_path / "var").mkdir()
    first = Path(__file__).parent.parent / "store" / "schema-1.sql"
    with closing(sqlite3.connect(tmp_path / "var" / "batchd.db")) as connection, connection:
        connection.executescript(first.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    assert spend(tmp_path) == Exit.CONFIGURATION
    assert "kept no sums" in capsys.readouterr().err
