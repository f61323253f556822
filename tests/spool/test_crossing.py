"""Moving files where a rename can't: nothing is lost, and nothing is taken twice.

Two file systems are needed: a folder in memory beside the ordinary one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from batchd.spool.crossing import FileChanges, carry, claim_across, finish_claim, move_anywhere
from batchd.spool.placing import place
from batchd.spool.signature import signature
from batchd.spool.work import Work

MEMORY = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    if not os.access(MEMORY, os.W_OK) or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


def a_file(folder: Path, content: bytes = b"one\ntwo\n", name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_file_is_carried_where_a_rename_is_refused(tmp_path, elsewhere):
    source = a_file(elsewhere)
    move_anywhere(source, tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"
    assert not source.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]


def test_carrying_goes_on_after_a_crash_between_copy_and_removal(tmp_path, elsewhere):
    source = a_file(elsewhere)
    a_file(tmp_path)  # the copy was whole; the first was not yet removed
    move_anywhere(source, tmp_path / "a.jsonl")
    assert not source.exists()
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"


def test_a_name_as_long_as_can_be_is_carried_too(tmp_path, elsewhere):
    name = "x" * 249 + ".jsonl"
    move_anywhere(a_file(elsewhere, name=name), tmp_path / name)
    assert (tmp_path / name).exists()


def test_a_claim_across_file_systems_takes_the_file_and_leaves_no_note(tmp_path, elsewhere):
    work = Work(tmp_path)
    with work.claiming(["0aaaaa"], elsewhere):
        work.claim(a_file(elsewhere), "0aaaaa")
    assert work.input("0aaaaa").read_bytes() == b"one\ntwo\n"
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in (tmp_path / "0aaaaa").iterdir()] == ["in"]


def test_a_claim_killed_between_copy_and_removal_is_finished_and_not_repeated(tmp_path, elsewhere):
    dropped, inside, note = killed_claim(tmp_path, elsewhere)
    a_file(inside)  # as after the copy
    finish_claim(inside, note)
    assert not dropped.exists()
    assert (inside / "a.jsonl").exists()
    assert not note.exists()


def test_a_claim_killed_in_the_middle_of_the_copy_is_undone(tmp_path, elsewhere):
    dropped, inside, note = killed_claim(tmp_path, elsewhere)
    (inside / ".carried.part").write_bytes(b"on")
    finish_claim(inside, note)
    assert dropped.exists()
    assert list(inside.iterdir()) == []


def test_a_file_dropped_under_the_same_name_meanwhile_is_nobodys_to_remove(tmp_path, elsewhere):
    dropped, inside, note = killed_claim(tmp_path, elsewhere)
    a_file(inside)
    os.utime(dropped, (1, 1))  # another file by now
    finish_claim(inside, note)
    assert dropped.exists()


def killed_claim(tmp_path: Path, elsewhere: Path) -> tuple[Path, Path, Path]:
    """A claim that left its note, and nothing else yet."""
    dropped, inside, note = a_file(elsewhere), tmp_path / "in", tmp_path / "claiming.json"
    inside.mkdir()
    claim_across(dropped, inside / "a.jsonl", note)
    place(note, _note_of(dropped, inside / "a.jsonl"))
    return dropped, inside, note


def _note_of(dropped: Path, copy: Path) -> bytes:
    """Put the file back, and say what the note said."""
    dropped.write_bytes(copy.read_bytes())
    copy.unlink()
    return msgspec.json.encode(
        {"path": os.fsencode(dropped).hex(), "signature": signature(dropped)}
    )


def test_a_file_that_reads_differently_the_second_time_is_not_ours_yet(tmp_path):
    """Somebody writes into it while it is copied. This one does so by nature."""
    source = Path("/proc/sys/kernel/random/uuid")
    if not source.exists():
        pytest.skip("no such file here")
    with pytest.raises(FileChanges):
        carry(source, tmp_path / "a.jsonl")
    assert list(tmp_path.iterdir()) == []
