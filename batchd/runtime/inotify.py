"""The kernel's word of what changes in some folders: it says so, and nobody has to ask. Linux only."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio

# <sys/inotify.h>; inotify(7). Not IN_MODIFY: a large file that is being copied would ring for each
# piece, and nothing is to be done about it before it is closed. Nor what goes: claiming is that.
_CLOSE_WRITE, _ATTRIB, _CREATE, _MOVED_TO = 0x8, 0x4, 0x100, 0x80
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _IGNORED = 0x400, 0x800, 0x2000, 0x8000
_WANTED = _CLOSE_WRITE | _ATTRIB | _CREATE | _MOVED_TO | _DELETE_SELF | _MOVE_SELF
_LOST = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_ONLY_FOLDERS = 0x1000000
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_AT_ONCE = 65_536  #: bytes; one event is 272 at the most


class Change(NamedTuple):
    """Something happened in a folder, or to it."""

    folder: Path | None  #: None where the kernel could not keep up: anything may have happened
    is_lost: bool  #: it was deleted, renamed or unmounted: nothing more is heard of it


class Inotify:
    """One queue of the kernel's, and the folders that it is about."""

    def __init__(self, fd: int, folders: dict[int, Path]) -> None:
        self._fd = fd
        self._folders = folders

    async def wait(self, seconds: float) -> None:
        """Wait until something has happened, but no longer than `seconds`."""
        with anyio.move_on_after(seconds):
            await anyio.wait_readable(self._fd)

    def changes(self) -> list[Change]:
        """Return what has happened since the last time."""
        content = b""
        with suppress(BlockingIOError):
            content = os.read(self._fd, _AT_ONCE)
        return list(self._changes(content))

    def _changes(self, content: bytes) -> Iterator[Change]:
        at = 0
        while at < len(content):
            watch, mask, _, length = _HEAD.unpack_from(content, at)
            at += _HEAD.size + length
            yield Change(self._folders.get(watch), bool(mask & _LOST))


@contextmanager
def heard_of(folders: Iterable[Path]) -> Iterator[Inotify]:
    """Hear of these folders for the time of the block. Raises `OSError` where that can't be."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        watches = {
            _checked(
                libc.inotify_add_watch(fd, os.fsencode(folder), _WANTED | _ONLY_FOLDERS), folder
            ): folder
            for folder in folders
        }
        yield Inotify(fd, watches)
    finally:
        os.close(fd)


def _checked(result: int, folder: Path | None = None) -> int:
    if result >= 0:
        return result
    code = ctypes.get_errno()
    # Its own word for a full table of watches is that of a full disk.
    text = "inotify watch limit reached" if code == errno.ENOSPC else os.strerror(code)
    raise OSError(code, text, *([str(folder)] if folder else []))
