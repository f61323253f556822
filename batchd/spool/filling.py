"""Fills a draft folder: files appear whole in it, and their hashes are known when they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from batchd.core.receipt import DeliveredFile
from batchd.spool.placing import placed, sync_folder

_CHUNK = 1 << 16  #: bytes hashed and written together: line by line takes three times as long


class _Hashed:
    """A file, and what is to be known of it."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._file = file
        self._pending = bytearray()

    def add(self, line: bytes) -> None:
        """Take one line."""
        pending = self._pending
        pending += line
        pending += b"\n"
        if len(pending) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        self._file.write(self._pending)
        self.sha256.update(self._pending)
        self.size += len(self._pending)
        self._pending.clear()


class Filling:
    """Writes the files of one folder, each made when its first line comes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._open: dict[str, _Hashed] = {}
        self._others: list[Path] = []

    def write(self, name: str, line: bytes) -> None:
        """Write one line, and its line break, to a file."""
        (self._open.get(name) or self._opened(name)).add(line)

    def file(self, name: str) -> BinaryIO:
        """Open a file for somebody who may go back in it; it is read again for its hash."""
        path = self._folder / name
        self._others.append(path)
        return self._stack.enter_context(placed(path))

    @property
    def files(self) -> list[DeliveredFile]:
        """What was written, by name, once all is written."""
        written = [
            DeliveredFile(name, hashed.size, hashed.sha256.hexdigest())
            for name, hashed in self._open.items()
        ]
        return sorted([*written, *map(_delivered, self._others)], key=lambda file: file.name)

    def _opened(self, name: str) -> _Hashed:
        file = self._stack.enter_context(placed(self._folder / name, among_others=True))
        hashed = self._open[name] = _Hashed(file)
        self._stack.callback(hashed.flush)  # the last thing before the file is made durable
        return hashed


def _delivered(path: Path) -> DeliveredFile:
    with path.open("rb", buffering=0) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return DeliveredFile(path.name, path.stat().st_size, sha256)


@contextmanager
def filled(folder: Path) -> Iterator[Filling]:
    """Fill a folder; leaving this without an error makes every file of it durable and whole."""
    with ExitStack() as stack:
        yield Filling(folder, stack)
    sync_folder(folder)
