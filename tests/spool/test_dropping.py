"""A file that is dropped by us appears whole, once, and replaces nothing."""

from __future__ import annotations

import stat

import pytest

from batchd.core.errors import ConfigError
from batchd.spool.dropping import drop
from batchd.spool.folders import Folders


@pytest.fixture
def folders(tmp_path) -> Folders:
    folders = Folders(tmp_path / "root")
    folders.prepare()
    return folders


def test_it_lies_in_the_inbox_as_it_was_and_nothing_is_left_beside_it(folders, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_bytes(b"x" * 3_000_000)

    dropped = drop(source, folders)

    assert dropped == folders.inbox / "a.jsonl"
    assert dropped.read_bytes() == source.read_bytes()
    assert dropped.stat().st_nlink == 1
    assert list(folders.staging.iterdir()) == []


def test_whatever_the_senders_umask_is_the_group_may_read_it(folders, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_bytes(b"secret\n")
    source.chmod(0o600)

    assert stat.S_IMODE(drop(source, folders).stat().st_mode) == 0o640


def test_a_second_file_of_the_same_name_gets_a_number_and_the_first_stays(folders, tmp_path):
    source = tmp_path / "a.jsonl"
    names = []
    for content in (b"1", b"2", b"3"):
        source.write_bytes(content)
        names.append(drop(source, folders).name)

    assert names == ["a.jsonl", "a-2.jsonl", "a-3.jsonl"]
    assert [(folders.inbox / name).read_bytes() for name in names] == [b"1", b"2", b"3"]


def test_a_number_leaves_the_ending_as_it_is(folders, tmp_path):
    source = tmp_path / "a.jsonl.gz"
    source.write_bytes(b"x")

    assert [drop(source, folders).name for _ in "12"] == ["a.jsonl.gz", "a-2.jsonl.gz"]


def test_it_can_have_another_name(folders, tmp_path):
    source = tmp_path / "retry.jsonl"
    source.write_bytes(b"x")

    assert drop(source, folders, name="b.jsonl").name == "b.jsonl"


def test_without_an_inbox_it_says_how_to_make_one(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_bytes(b"x")

    with pytest.raises(ConfigError, match="batchd init"):
        drop(source, Folders(tmp_path / "nowhere"))


def test_a_source_that_is_not_there_leaves_nothing_behind(folders, tmp_path):
    with pytest.raises(FileNotFoundError):
        drop(tmp_path / "nothing.jsonl", folders)

    assert list(folders.staging.iterdir()) == []


def test_a_number_leaves_a_name_one_that_is_taken(folders, tmp_path):
    """`a.jsonl-2.gz` would lie in the inbox for ever."""
    source = tmp_path / "a.b.jsonl.gz"
    source.write_bytes(b"1")
    assert [drop(source, folders).name for _ in "12"] == ["a.b.jsonl.gz", "a.b-2.jsonl.gz"]
