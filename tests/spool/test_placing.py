"""Anything of ours appears whole or not at all, and nothing that lies there is overwritten."""

from __future__ import annotations

import errno

import pytest

from batchd.core.errors import BrokenInvariant
from batchd.spool.placing import (
    PART,
    make_folder,
    move,
    place,
    placed,
    placed_with_room,
    remove_file,
    remove_folder,
    sync_folder,
)


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "x"
    with placed(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


def write_half(path):
    with placed(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_an_error_leaves_a_part_at_most_and_the_next_try_replaces_it(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert [found.name for found in tmp_path.iterdir()] == ["x" + PART]
    place(path, b"whole")
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


def test_what_was_placed_before_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x"
    place(path, b"old")
    with pytest.raises(ZeroDivisionError), placed(path):
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["file", "empty folder", "full folder", "dangling link"])
def test_a_move_never_replaces_what_is_there(tmp_path, kind):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    match kind:
        case "file":
            target.touch()
        case "dangling link":
            target.symlink_to("nowhere")
        case _:
            target.mkdir()
    if kind == "full folder":
        (target / "theirs").touch()
    with pytest.raises(BrokenInvariant, match="ever overwritten"):
        move(source, target)
    assert source.is_dir()


def test_a_move_goes_from_folder_to_folder(tmp_path):
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    place(tmp_path / "x", b"content")
    move(tmp_path / "x", tmp_path / "a" / "b" / "c" / "x")
    assert (tmp_path / "a" / "b" / "c" / "x").read_bytes() == b"content"
    assert not (tmp_path / "x").exists()


def test_what_is_gone_already_is_removed(tmp_path):
    make_folder(tmp_path / "a" / "b")
    for _ in range(2):
        remove_folder(tmp_path / "a")
        remove_file(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder_to_be_synced(tmp_path):
    place(tmp_path / "x", b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "x")


def test_a_large_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a"
    with placed_with_room(path, keep_free=0) as write:
        for _ in range(3):
            write(b"x" * 700_000)
        assert not path.exists()
    assert path.read_bytes() == b"x" * 2_100_000


def test_of_a_large_file_that_comes_to_no_end_nothing_is_left(tmp_path):
    with pytest.raises(TypeError), placed_with_room(tmp_path / "a", keep_free=0) as write:
        write(None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_leaves_room_for_others(tmp_path):
    with (
        pytest.raises(OSError, match="too few") as full,
        placed_with_room(tmp_path / "a", keep_free=1 << 60) as write,
    ):
        write(b"x")
    assert full.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
