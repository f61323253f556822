"""The last problem is found at the end of the log, whatever else stands there."""

import json
from pathlib import Path

from batchd.control import problems
from batchd.control.problems import last_problem


def log_of(tmp_path: Path, *lines: dict[str, str], name: str = "batchd.jsonl") -> Path:
    (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "batchd.jsonl"


OLD, NEW, FINE = (
    {"level": "error", "event": "old"},
    {"level": "warning", "event": "new"},
    {"level": "info", "event": "fine"},
)


def test_the_youngest_warning_or_error_counts(tmp_path):
    assert last_problem(log_of(tmp_path, OLD, NEW, FINE)) == NEW


def test_a_log_without_problems_has_none(tmp_path):
    assert last_problem(log_of(tmp_path, FINE)) is None
    assert last_problem(tmp_path / "not-there") is None


def test_it_is_found_in_a_log_that_was_just_put_aside(tmp_path):
    log_of(tmp_path, OLD, name="batchd.jsonl.1")

    assert last_problem(log_of(tmp_path, FINE)) == OLD


def test_half_lines_and_other_peoples_are_passed_over(tmp_path):
    log = log_of(tmp_path, NEW)
    with log.open("ab") as file:
        file.write(b'[1]\n\xff\n{"level": "error", "ev')

    assert last_problem(log) == NEW


def test_a_long_log_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(problems, "_TAIL", 100)

    assert last_problem(log_of(tmp_path, OLD, *[FINE] * 10)) is None
