"""What the kernel tells of folders, and what is made of it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from batchd.runtime.inotify import Change, heard_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


async def test_what_comes_is_heard_of_at_once_and_what_goes_is_not(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with heard_of([one, two]) as inotify:
        assert inotify.changes() == []
        (one / "a").write_bytes(b"x")
        with anyio.fail_after(5):
            await inotify.wait(60)
        assert set(inotify.changes()) == {Change(one, is_lost=False)}
        (one / "a").rename(two / os.fsdecode(b"caf\xe9"))
        assert inotify.changes() == [Change(two, is_lost=False)]
        (two / os.fsdecode(b"caf\xe9")).unlink()
        assert inotify.changes() == []


async def test_a_file_that_is_being_written_rings_when_it_is_closed(tmp_path):
    with (tmp_path / "a").open("wb", buffering=0) as file, heard_of([tmp_path]) as inotify:
        file.write(b"a piece")
        assert inotify.changes() == []
        file.close()
        assert inotify.changes() == [Change(tmp_path, is_lost=False)]


@pytest.mark.parametrize("how", ["deleted", "renamed"])
async def test_a_folder_that_is_gone_is_told_of(tmp_path, how):
    folder = tmp_path / "inbox"
    folder.mkdir()
    with heard_of([folder]) as inotify:
        if how == "deleted":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "old")
        assert Change(folder, is_lost=True) in inotify.changes()


async def test_waiting_ends_when_nothing_comes(tmp_path):
    with heard_of([tmp_path]) as inotify, anyio.fail_after(5):
        await inotify.wait(0.05)
        assert inotify.changes() == []


async def test_more_than_the_kernel_keeps_is_something_that_happened(tmp_path):
    """Its queue has an end (`fs.inotify.max_queued_events`): then it says only that."""
    with heard_of([tmp_path]) as inotify:
        seen = inotify._changes(
            b"\xff\xff\xff\xff" + (0x4000).to_bytes(4, sys.byteorder) + bytes(8)
        )
        assert list(seen) == [Change(None, is_lost=False)]


async def test_a_folder_that_is_not_there_or_is_none_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").touch()
    before = set(Path("/proc/self/fd").iterdir())
    for name, error in (("nowhere", FileNotFoundError), ("file", NotADirectoryError)):
        with pytest.raises(error, match=name), heard_of([tmp_path, tmp_path / name]):
            pass
    assert set(Path("/proc/self/fd").iterdir()) == before
