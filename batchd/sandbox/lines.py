"""Where the lines of an input file begin and end: eight bytes a line, the text stays on disk."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path


class Lines:
    """Read once from front to back, and then in any order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def size(self) -> int:
        """In bytes."""
        return self._ends[-1]

    def first_reading(self) -> Iterator[bytes]:
        """Every line with its newline; their places are noted on the way."""
        with self.path.open("rb") as source:
            for line in source:
                self._ends.append(self._ends[-1] + len(line))
                yield line

    def in_order(self, indices: Iterator[int]) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as source:
            for index in indices:
                start, end = self._ends[index], self._ends[index + 1]
                yield os.pread(source.fileno(), end - start, start)
