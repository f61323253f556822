"""Fills a draft folder: files appear whole in it, and their hashes are known when they do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from batchd.core.receipt import DeliveredFile
from batchd.spool.placing import placed


class _Hashed:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.size = 0


class Filling:
    """Writes the files of one folder, each made when its first line comes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._open: dict[str, _Hashed] = {}

    def write(self, name: str, line: bytes) -> None:
        """Write one line, and its line break, to a file."""
        hashed = self._open.get(name) or self._opened(name)
        content = line + b"\n"
        hashed.file.write(content)
        hashed.sha256.update(content)
        hashed.size += len(content)

    @property
    def files(self) -> list[DeliveredFile]:
        """What was written, by name."""
        return [
            DeliveredFile(name, hashed.size, hashed.sha256.hexdigest())
            for name, hashed in sorted(self._open.items())
        ]

    def _opened(self, name: str) -> _Hashed:
        file = self._stack.enter_context(placed(self._folder / name))
        self._open[name] = _Hashed(file)
        return self._open[name]


@contextmanager
def filled(folder: Path) -> Iterator[Filling]:
    """Fill a folder; leaving this without an error makes every file of it durable and whole."""
    with ExitStack() as stack:
        yield Filling(folder, stack)
