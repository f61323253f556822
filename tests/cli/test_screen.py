"""One screen of `batchd status`: it fits, and nobody is left with half a sentence."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from batchd.cli.drawing import drawn
from batchd.cli.screen import LABEL, LINES, Line, screen
from batchd.control.shapes import Status

NOW = 1_800_000_000.0
THEN = "2027-01-15T07:00:00Z"  #: an hour before
LONG = "очень длинное имя 日本語のとても長いファイル名 " + "x" * 100
SENTENCE = "the provider refuses the key, " + "and says at length why that is so, " * 4
FIX = "chmod g+r '/srv/some where/with/a/rather/long/path/inbox/" + "n" * 60 + ".jsonl'"


def found(*, batches: int = 0, ills: int = 0, waits: int = 0, name: str = LONG) -> Status:
    """A root in which so much is to be told."""
    value: dict[str, Any] = {
        "schema": 1,
        "root": "/srv/batchd",
        "daemon": {
            "running": True, "pid": 1, "since": THEN, "version": "1", "watcher": "inotify",
        },
        "inbox": {"waiting": {}, "ignored": {}, "trouble": None, "tasks": {}},
        "paused": {},
        "jobs": {"on_their_way": {"claimed": 3, "held": 2}, "ended": {}},
        "batches": {
            "max_open": 500,
            "open": [
                {
                    "batch": f"batch_{number}", "status": "in_progress", "completed": 49_999,
                    "requests": 50_000, "opened_at": THEN, "shard": f"0tqe86-{number}",
                    "name": name,
                }
                for number in range(batches)
            ],
        },
        "admission": {"created_within_the_hour": 0, "max_per_hour": 2_000, "tokens": {}},
        "health": [
            {
                "code": f"ill-{number}", "severity": "high", "since": THEN, "text": SENTENCE,
                "fix": FIX, "count": 2,
            }
            for number in range(ills)
        ],
        "waits": [
            {
                "code": code, "standing": "claimed", "count": 7, "sentence": SENTENCE,
                "setting": None, "example": LONG,
            }
            for code in [*(f"ill-{n}" for n in range(ills)), *(f"w-{n}" for n in range(waits))]
        ],
        "last_problem": None,
        "budget": None,
        "source": "the daemon",
    }  # fmt: skip
    return msgspec.convert(value, Status)


def on_terminal(lines: list[Line], columns: int) -> list[str]:
    """What is drawn there, without colours."""
    told = io.StringIO()
    Console(file=told, width=columns, highlight=False).print(drawn(lines, columns))
    return told.getvalue().splitlines()


def composed(status: Status, *, lines: int = LINES, columns: int | None = 80) -> list[Line]:
    return screen(status, None, now=NOW, lines=lines, columns=columns)


@pytest.mark.parametrize("batches", [0, 5, 200])
@pytest.mark.parametrize("ills", [0, 1, 4, 9])
@pytest.mark.parametrize("waits", [0, 2, 9])
@pytest.mark.parametrize("columns", [None, 60, 80, 132])
def test_whatever_there_is_fits_and_leaves_a_line_for_the_prompt(batches, ills, waits, columns):
    lines = composed(found(batches=batches, ills=ills, waits=waits), columns=columns)

    assert len(lines) < 24, lines
    assert lines[0].label == "daemon"


@pytest.mark.parametrize("columns", [80, 132])
def test_a_row_of_a_terminal_is_never_wider_than_it_and_keeps_its_columns(columns):
    drawn_lines = on_terminal(composed(found(batches=200, ills=2), columns=columns), columns)

    bars = [line for line in drawn_lines if "━" in line]
    assert len(drawn_lines) <= LINES
    assert max(map(len, drawn_lines)) <= columns
    assert len(bars) >= 3
    assert all(line.startswith(" " * LABEL + "━") for line in bars)
    assert all(" 49,999/50,000 " in line for line in bars)


def test_what_is_not_well_is_told_on_more_than_one_row_and_its_command_whole():
    lines = composed(found(ills=1))

    rows = [line.text for line in lines if line.is_bad]
    assert " ".join(rows).startswith("high, ill-0 (2) for 1 h: the provider refuses the key")
    assert len(rows) >= 2
    assert all(len(row) <= 80 - LABEL for row in rows)
    below = [line.text for line in lines[lines.index(next(filter(is_bad, lines))) :]]
    command = below[len(rows) :]
    assert command[0].startswith("  -> chmod g+r")
    assert "".join("".join(command).split()) == "->" + "".join(FIX.split())


def is_bad(line: Line) -> bool:
    return line.is_bad


def test_a_small_screen_has_the_worst_only_and_says_that_there_is_more():
    texts = [line.text for line in composed(found(ills=4), lines=12)]

    assert len(texts) <= 12
    assert sum(text.startswith("high, ") for text in texts) == 1
    assert texts[-1] == "and 3 more: batchd status --json"


def test_what_is_not_well_does_not_stand_among_what_waits_once_more():
    texts = [line.text for line in composed(found(ills=1, waits=1), columns=None)]

    assert [text.split(";")[0] for text in texts if text.startswith("7 ")] == ["7 w-0"]


def test_of_the_jobs_on_their_way_those_that_are_held_are_told():
    (jobs,) = (line.text for line in composed(found()) if line.label == "jobs")

    assert jobs.startswith("5 on their way (2 held); ")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"event": "loop.late", "seconds": 0.5}, "loop.late: seconds=0.5"),
        ({"event": "job.rejected", "job": "7k3c9q", "line": 3, "reason": "no"},
         "job.rejected (7k3c9q): no"),
        ({"event": "daemon.left_at_once"}, "daemon.left_at_once"),
    ],
)  # fmt: skip
def test_the_last_problem_says_what_there_is_to_say(facts, said):
    status = msgspec.structs.replace(
        found(), last_problem={"ts": THEN, "level": "warning", **facts}
    )

    (problem,) = (line.text for line in composed(status) if line.label == "last problem")

    assert problem == f"1 h ago, {said}"
