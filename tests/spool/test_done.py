"""The file that says that another is complete: it goes with that one, or back to where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.spool.done import give_back, plain_files, take_done
from batchd.spool.work import Work

JOB = "0aaaaa"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_taken_before_its_file_and_listed_after_it(tmp_path: Path, inbox: Path):
    dropped, done = inbox / "a.jsonl", inbox / "a.jsonl.done"
    dropped.write_text("{}\n")
    done.write_text("sha256 of it")
    work = Work(tmp_path / "work")
    with work.claiming([JOB], inbox):
        work.claim(dropped, JOB, done=done)

    assert names(inbox) == []
    assert [path.name for path in work.leaving(JOB)] == ["a.jsonl", "a.jsonl.done"]
    assert [path.name for path in plain_files(work.of(JOB) / "in")] == ["a.jsonl"]
    (told,) = work.done_files(JOB, pause=lambda: None)
    assert (told.name, told.size) == ("input/a.jsonl.done", 12)


def test_without_its_file_it_goes_back_at_once(tmp_path: Path, inbox: Path):
    """The sender took the file back at this very moment."""
    done = inbox / "a.jsonl.done"
    done.touch()
    work = Work(tmp_path / "work")
    with work.claiming([JOB], inbox), pytest.raises(FileNotFoundError):
        work.claim(inbox / "a.jsonl", JOB, done=done)
    work.remove_empty(JOB)

    assert names(inbox) == ["a.jsonl.done"]
    assert work.jobs() == []


@pytest.mark.parametrize(
    ("there", "left"),
    [
        (None, {"a.jsonl.done": b"one"}),
        (b"one", {"a.jsonl.done": b"one"}),
        (b"two", {"a.jsonl.done": b"two", f"a.jsonl.done.{JOB}": b"one"}),
    ],
)
def test_going_back_it_replaces_nothing(tmp_path: Path, inbox: Path, there, left):
    (inbox / "a.jsonl.done").write_bytes(b"one")
    take_done(inbox / "a.jsonl.done", tmp_path / "taken")
    if there is not None:
        (inbox / "a.jsonl.done").write_bytes(there)
    give_back(tmp_path / "taken" / "a.jsonl.done", inbox, JOB)

    assert {path.name: path.read_bytes() for path in inbox.iterdir()} == left
    assert names(tmp_path / "taken") == []


def test_what_is_no_file_is_not_taken_for_one(tmp_path: Path, inbox: Path):
    (inbox / "a.jsonl.done").mkdir()
    with pytest.raises(OSError, match="no regular file"):
        take_done(inbox / "a.jsonl.done", tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path):
    assert plain_files(tmp_path / "nowhere") == []


def test_it_goes_back_into_the_folder_of_the_task_that_it_came_from(tmp_path: Path, inbox: Path):
    """Killed between a done file's claim and its file's; the folder may be gone meanwhile."""
    work = Work(tmp_path / "work")
    (inbox / "sentiment").mkdir()
    (inbox / "sentiment" / "a.csv.done").touch()
    with work.claiming([JOB], inbox, tasks={JOB: "sentiment"}):
        take_done(inbox / "sentiment" / "a.csv.done", work.of(JOB) / "done")
    (inbox / "sentiment").rmdir()

    work.give_back_done(JOB, inbox)
    work.remove_empty(JOB)

    assert names(inbox / "sentiment") == ["a.csv.done"]
    assert work.jobs() == []
