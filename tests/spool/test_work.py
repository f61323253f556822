"""Work folders at their limits: lines longer than a buffer, names as long as a name can be."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchd.spool.signature import signature
from batchd.spool.work import Work, raw_lines

MB = 1 << 20


def nothing() -> None:
    """Nobody wants us to stop."""


@pytest.fixture(params=["a", "a.gz"])
def written(request, tmp_path) -> Callable[[bytes], Path]:
    """A file as it is read, and the same one compressed."""
    path = tmp_path / request.param

    def write(content: bytes) -> Path:
        path.write_bytes(gzip.compress(content) if path.suffix else content)
        return path

    return write


@pytest.mark.parametrize("length", [10, MB - 1, MB, MB + 1, 2 * MB - 1, 2 * MB, 3 * MB])
def test_a_line_of_any_length_comes_whole(written, length):
    lines = [b"first\n", b"x" * (length - 1) + b"\n", b"\n", b"y" * length]
    path = written(b"".join(lines))
    assert list(raw_lines(path, longest=4 * MB, pause=nothing)) == lines


@pytest.mark.parametrize("longest", [5, MB - 1, MB, MB + 1, 2 * MB + 5])
def test_a_line_above_the_limit_comes_cut_and_is_the_last(written, longest):
    first, rest = b"1\n", b"x" * (3 * MB) + b"\nmore\n"
    path = written(first + rest)
    lines = list(raw_lines(path, longest=longest, pause=nothing))
    assert lines == [first, rest[: longest + 1]]


@pytest.mark.parametrize("longest", [MB - 1, MB, MB + 1, 2 * MB])
def test_a_line_exactly_at_the_limit_is_no_longer_than_it(written, longest):
    lines = [b"x" * (longest - 1) + b"\n", b"next\n"]
    path = written(b"".join(lines))
    assert list(raw_lines(path, longest=longest, pause=nothing)) == lines


def test_a_file_with_a_second_link_and_the_longest_name_becomes_our_own(tmp_path):
    name = "n" * 249 + ".jsonl"
    (tmp_path / name).write_bytes(b"content")
    os.link(tmp_path / name, tmp_path / "elsewhere")
    work = Work(tmp_path / "work")
    with work.claiming(["0nq0m1"], tmp_path):
        claimed = work.claim(tmp_path / name, "0nq0m1")
    work.make_own(claimed, pause=lambda: None)

    assert claimed.stat().st_nlink == 1
    assert work.input("0nq0m1") == claimed
    assert claimed.read_bytes() == b"content"
    assert [path.name for path in work.of("0nq0m1").iterdir()] == ["in"]


def test_half_a_note_of_a_claim_that_moved_nothing_goes_with_its_folder(tmp_path: Path):
    """Killed while the note was being written: an empty folder would be listed for ever."""
    work = Work(tmp_path)
    (work.of("0aaaaa") / "in").mkdir(parents=True)
    (work.of("0aaaaa") / "claiming.json.part").write_bytes(b'{"fro')

    work.remove_empty("0aaaaa")

    assert work.jobs() == []


def test_a_file_of_a_task_keeps_its_tasks_name_in_the_work_folder(tmp_path: Path):
    work, inbox = Work(tmp_path / "work"), tmp_path / "inbox"
    (inbox / "sentiment").mkdir(parents=True)
    for name in ("sentiment/a.csv", "b.jsonl"):
        (inbox / name).write_bytes(b"content")

    with work.claiming(["0aaaaa", "0aaaab"], inbox, tasks={"0aaaaa": "sentiment"}):
        claimed = work.claim(inbox / "sentiment" / "a.csv", "0aaaaa", task="sentiment")
        work.claim(inbox / "b.jsonl", "0aaaab")

    assert claimed == work.of("0aaaaa") / "in" / "sentiment" / "a.csv"
    assert work.input("0aaaaa") == claimed == work.dropped_at("0aaaaa", b"a.csv", "sentiment")
    assert (work.task_of("0aaaaa"), work.task_of("0aaaab")) == ("sentiment", "")
    assert list((inbox / "sentiment").iterdir()) == []


def test_an_empty_folder_of_a_tasks_claim_is_removed_whole(tmp_path: Path):
    work = Work(tmp_path)
    (work.of("0aaaaa") / "in" / "sentiment").mkdir(parents=True)

    assert work.input("0aaaaa") is None
    work.remove_empty("0aaaaa")

    assert work.jobs() == []


def test_a_task_may_be_called_as_a_folder_of_ours_and_its_file_still_becomes_our_own(
    tmp_path: Path,
):
    work, inbox = Work(tmp_path / "work"), tmp_path / "inbox"
    (inbox / "in").mkdir(parents=True)
    (inbox / "in" / "a.csv").write_bytes(b"content")
    os.link(inbox / "in" / "a.csv", tmp_path / "elsewhere")
    with work.claiming(["0aaaaa"], inbox, tasks={"0aaaaa": "in"}):
        claimed = work.claim(inbox / "in" / "a.csv", "0aaaaa", task="in")
    work.make_own(claimed, pause=lambda: None)

    assert claimed.stat().st_nlink == 1
    assert [path.name for path in work.of("0aaaaa").iterdir()] == ["in"]


def test_a_claim_survives_that_its_tasks_folder_goes_with_its_last_file(tmp_path: Path):
    """Somebody tidies the inbox while a file leaves it."""
    work, inbox = Work(tmp_path / "work"), tmp_path / "inbox"
    (inbox / "sentiment").mkdir(parents=True)
    (inbox / "sentiment" / "a.csv").write_bytes(b"content")

    with work.claiming(["0aaaaa"], inbox, tasks={"0aaaaa": "sentiment"}):
        work.claim(inbox / "sentiment" / "a.csv", "0aaaaa", task="sentiment")
        (inbox / "sentiment").rmdir()

    assert work.input("0aaaaa") is not None


def test_a_claim_across_disks_is_finished_in_its_tasks_folder(tmp_path: Path):
    """Killed between the copy and the removal: the copy is whole, and the first is still there."""
    work, inbox = Work(tmp_path / "work"), tmp_path / "inbox"
    (inbox / "sentiment").mkdir(parents=True)
    dropped = inbox / "sentiment" / "a.csv"
    dropped.write_bytes(b"content")
    inside = work.of("0aaaaa") / "in" / "sentiment"
    inside.mkdir(parents=True)
    (inside / "a.csv").write_bytes(b"content")
    intent = {"path": os.fsencode(dropped).hex(), "signature": list(signature(dropped))}
    (work.of("0aaaaa") / "claiming.json").write_text(json.dumps(intent))

    work.finish_claim("0aaaaa")

    assert not dropped.exists()
    assert work.input("0aaaaa") == inside / "a.csv"
    assert [path.name for path in work.of("0aaaaa").iterdir()] == ["in"]
