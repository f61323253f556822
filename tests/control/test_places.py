"""What a word means: an id, or a place that is looked for from here, the root and the inbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchd.control.places import Id, id_of, job_in, place_of
from batchd.spool.folders import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "root")
    folders.inbox.mkdir(parents=True)
    return folders


def parts(word: str, folders: Folders, *, cwd: Path | None = None) -> tuple[str, ...] | None:
    return place_of(word, folders=folders, cwd=cwd or folders.root.parent).parts


def test_a_word_is_looked_for_from_here_from_the_root_and_in_the_inbox(folders: Folders):
    (folders.inbox / "a.jsonl").touch()

    assert parts("root/inbox/a.jsonl", folders) == ("inbox", "a.jsonl")
    assert parts("inbox/a.jsonl", folders) == ("inbox", "a.jsonl")
    assert parts("a.jsonl", folders) == ("inbox", "a.jsonl")
    assert parts(".", folders, cwd=folders.inbox) == ("inbox",)
    assert parts(str(folders.root), folders) == ()


def test_a_bare_name_means_the_copy_in_the_inbox_before_its_original_that_lies_here(
    folders: Folders,
):
    (folders.inbox / "a.jsonl").touch()
    (folders.root.parent / "a.jsonl").touch()
    (folders.root / "a.jsonl").touch()
    (folders.root / "outbox" / "x--0tqe86").mkdir(parents=True)
    (folders.root / "outbox" / "x--0tqe86" / "a.jsonl").touch()

    assert parts("a.jsonl", folders) == ("inbox", "a.jsonl")
    assert parts("a.jsonl", folders, cwd=folders.root) == ("inbox", "a.jsonl")
    assert parts("./a.jsonl", folders) is None
    assert parts("./a.jsonl", folders, cwd=folders.root) == ("a.jsonl",)
    delivered = folders.root / "outbox" / "x--0tqe86"
    assert parts("a.jsonl", folders, cwd=delivered) == ("outbox", "x--0tqe86", "a.jsonl")
    assert parts(".", folders, cwd=folders.root) == ()
    assert parts("..", folders, cwd=folders.root) is None


def test_what_is_nowhere_is_meant_from_here(folders: Folders):
    assert parts("b.jsonl", folders) is None
    assert parts("b.jsonl", folders, cwd=folders.inbox) == ("inbox", "b.jsonl")


def test_dots_and_links_on_the_way_are_followed_but_never_the_thing_itself(folders: Folders):
    (folders.inbox / "link.jsonl").symlink_to("/etc/passwd")
    (folders.root.parent / "way").symlink_to(folders.inbox)

    assert parts("way/link.jsonl", folders) == ("inbox", "link.jsonl")
    assert parts("root/outbox/../inbox/link.jsonl", folders) == ("inbox", "link.jsonl")
    assert parts("inbox/../../elsewhere", folders) is None


def test_names_are_bytes(folders: Folders):
    name = os.fsdecode(b"\xff\n.jsonl")
    (folders.inbox / name).touch()

    assert parts(name, folders) == ("inbox", name)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("0tqe86", Id(job="0tqe86")),
        ("0tq", Id(job="0tq")),
        ("0tqe86-12", Id(job="0tqe86", number=12)),
        ("batch_abc", Id(batch="batch_abc")),
        ("0tq-1", None),
        ("0tqe867", None),
        ("a.jsonl", None),
        ("", None),
        ("inbox/0tqe86", None),
    ],
)
def test_an_id_may_be_cut_short(word: str, meant: Id | None):
    assert id_of(word) == meant


@pytest.mark.parametrize(
    ("folder", "job"),
    [
        ("a--0tqe86", "0tqe86"),
        ("a--b--0tqe86.rejected", "0tqe86"),
        ("a\n--0tqe86", "0tqe86"),
        ("0tqe86", "0tqe86"),
        (".0tqe86", "0tqe86"),
        ("--0tqe86", None),
        ("a--0tqe8", None),
        ("else", None),
    ],
)
def test_a_folders_name_tells_whose_it_is(folder: str, job: str | None):
    assert job_in(folder) == job
