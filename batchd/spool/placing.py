"""Write, fsync, rename, fsync the folder: how anything of ours comes to lie anywhere."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchd.core.errors import BrokenInvariant

PART = ".part"  #: a file that is being written; nobody's until it is renamed
_BUFFER = 1 << 18


@contextmanager
def placed(path: Path, *, among_others: bool = False) -> Iterator[BinaryIO]:
    """Write a file that appears whole: an error or a crash in between leaves a `.part` at most.

    `among_others`: the caller makes its name durable, with those of other files.
    """
    part = path.with_name(path.name + PART)
    with part.open("wb", buffering=_BUFFER) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    if not among_others:
        sync_folder(path.parent)


@contextmanager
def placed_with_room(path: Path, *, keep_free: int) -> Iterator[Callable[[bytes], None]]:
    """Write a large file that can be made anew: of what comes to no end nothing is left lying.

    Yields what writes a piece of it. That raises an `OSError` of a full disk while there are
    `keep_free` bytes left: the ledger must have its own.
    """
    try:
        with placed(path) as file:
            yield _Roomy(file, path.parent, keep_free).write
    finally:
        remove_file(path.with_name(path.name + PART))


class _Roomy:
    def __init__(self, file: BinaryIO, folder: Path, keep_free: int) -> None:
        self._file = file
        self._folder = folder
        self._keep_free = keep_free
        self._unseen = _BUFFER  #: bytes since the disk was looked at

    def write(self, piece: bytes) -> None:
        if self._unseen >= _BUFFER:
            _must_have_room(self._folder, self._keep_free)
            self._unseen = 0
        self._unseen += len(piece)
        self._file.write(piece)


def _must_have_room(folder: Path, keep_free: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < keep_free:
        text = f"{free:,} bytes are free on the disk of var/, too few to write a large file there"
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {text}")


def place(path: Path, content: bytes, *, among_others: bool = False) -> None:
    """Write a small file that appears whole; see `placed`."""
    with placed(path, among_others=among_others) as file:
        file.write(content)


def move(source: Path, target: Path) -> None:
    """Rename, so that it survives a power cut. Never replaces anything that is there."""
    rename(source, target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def rename(source: Path, target: Path) -> None:
    """Rename, and let the caller make it durable, for many at once. Never replaces anything."""
    if os.path.lexists(target):
        # rename() would silently replace an empty folder; what lies there is somebody's.
        raise BrokenInvariant(f"{target} is there already; nothing is ever overwritten")
    source.rename(target)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that they survive a power cut."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder of ours and all that is in it; it may be gone already."""
    shutil.rmtree(path, ignore_errors=False) if path.is_dir() else None


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove a file of ours; it may be gone already."""
    path.unlink(missing_ok=True)
