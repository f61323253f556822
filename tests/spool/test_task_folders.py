"""The folders of tasks: which are looked into, which are made, and that no link is followed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from batchd.settings import Inbox
from batchd.spool.task_folders import (
    Aside,
    folders_of_tasks,
    is_real,
    look_everywhere,
    make_missing,
)
from tests.houses import recipes, write_task
from tests.nobody import as_nobody


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


class Ears:
    """Hears what a look finds besides files."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.unread: list[str] = []

    def aside(self) -> Aside:
        return Aside(
            lambda folder, names: self.names.extend(f"{folder.name}/{name}" for name in names),
            lambda folder, error: self.unread.append(f"{folder.name}: {error.strerror}"),
        )


def seen(inbox: Path, ears: Ears | None = None, rules: Inbox | None = None) -> list[str]:
    aside = (ears or Ears()).aside()
    found = look_everywhere(inbox, rules or Inbox(), recipes(inbox.parent), aside)
    return sorted(file.name for file in found)


def put(inbox: Path, *names: str) -> None:
    for name in names:
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(b"text\nfine\n")


def test_each_folder_gives_what_belongs_there(inbox: Path):
    write_task(inbox.parent, "sentiment")
    put(inbox, "a.jsonl", "b.csv", "sentiment/a.jsonl", "sentiment/b.csv", "sentiment/photo.png")
    ears = Ears()

    assert seen(inbox, ears) == ["a.jsonl", "sentiment/a.jsonl", "sentiment/b.csv"]
    assert sorted(ears.names) == ["inbox/b.csv", "inbox/sentiment", "sentiment/photo.png"]


def test_a_file_knows_whose_folder_it_lies_in(inbox: Path):
    write_task(inbox.parent, "sentiment")
    put(inbox, "sentiment/b.csv")
    (found,) = look_everywhere(inbox, Inbox(), recipes(inbox.parent), Ears().aside())

    assert (found.task, found.path, found.name) == (
        "sentiment",
        inbox / "sentiment" / "b.csv",
        "sentiment/b.csv",
    )


def test_a_done_file_is_asked_for_there_as_well(inbox: Path):
    write_task(inbox.parent, "sentiment")
    put(inbox, "sentiment/a.csv", "sentiment/b.csv", "sentiment/b.csv.done")
    rules = Inbox(done_file="require")
    found = list(look_everywhere(inbox, rules, recipes(inbox.parent), Ears().aside()))

    assert {file.path.name: file.done for file in found} == {
        "a.csv": None,
        "b.csv": inbox / "sentiment" / "b.csv.done",
    }


def test_what_is_nobodys_folder_is_not_looked_into(inbox: Path):
    put(inbox, "sentimnt/b.csv", "x.jsonl/b.csv", ".tmp/b.csv")
    write_task(inbox.parent, "x.jsonl")
    ears = Ears()

    assert seen(inbox, ears) == []
    assert sorted(ears.names) == ["inbox/.tmp", "inbox/sentimnt"]


def test_of_a_broken_task_only_what_is_no_table_is_told(inbox: Path):
    """There may be orders among its files; the rest waits for the operator."""
    write_task(inbox.parent, "sentiment", 'model = "m"\nprmpt = "?"\n')
    put(inbox, "sentiment/b.csv", "sentiment/0tqe86.cancel")
    ears = Ears()

    assert seen(inbox, ears) == []
    assert sorted(ears.names) == ["inbox/sentiment", "sentiment/0tqe86.cancel", "sentiment/b.csv"]

    write_task(inbox.parent, "sentiment")
    assert seen(inbox) == ["sentiment/b.csv"], "mended, it is looked into"


def test_a_link_to_a_folder_is_never_followed(inbox: Path, tmp_path: Path):
    write_task(inbox.parent, "sentiment")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "theirs.csv").write_bytes(b"a\n1\n")
    (inbox / "sentiment").symlink_to(tmp_path / "elsewhere")

    assert seen(inbox) == []
    assert folders_of_tasks(inbox, recipes(inbox.parent)) == []
    assert not is_real(inbox / "sentiment")
    assert make_missing(inbox, ["sentiment"]) == []


def test_a_folder_that_may_not_be_listed_stops_no_other():
    with as_nobody() as root:
        inbox, ears = root / "inbox", Ears()
        for task in ("a", "b"):
            write_task(root, task)
            put(inbox, f"{task}/1.csv")
        (inbox / "a").chmod(0)

        assert seen(inbox, ears) == ["b/1.csv"]
        assert ears.unread == ["a: Permission denied"]
        (inbox / "a").chmod(0o700)


def test_missing_folders_are_made_for_whoever_may_drop_files(inbox: Path):
    assert make_missing(inbox, ["sentiment", ".hidden", "x.jsonl"]) == [inbox / "sentiment"]
    assert stat.S_IMODE((inbox / "sentiment").stat().st_mode) & 0o770 == 0o770
    assert make_missing(inbox, ["sentiment"]) == []


def test_what_has_the_name_of_a_task_and_is_no_folder_stays(inbox: Path):
    (inbox / "sentiment").write_bytes(b"theirs")

    assert make_missing(inbox, ["sentiment"]) == []
    assert (inbox / "sentiment").read_bytes() == b"theirs"


def test_nothing_is_made_where_the_inbox_itself_is_missing(tmp_path: Path):
    """Its disk may not be mounted."""
    assert make_missing(tmp_path / "inbox", ["sentiment"]) == []
    assert not (tmp_path / "inbox").exists()
