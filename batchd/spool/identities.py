"""Keeps whose each line of a planned file is, and where one in a thousand begins.

To read all of it again takes ten times as long, and of a file of twenty batches each would read what
lies before it. One line per row: `t` or `j` for an answer that is a text or JSON, and the
`custom_id`; nothing for a row that has no request. Then the places, and at last the hash of the file
that it was read of: without it, or with another's, nothing is believed, and the file itself is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchd.core.asked import identity_of
from batchd.core.reading import Request
from batchd.core.rows import RowSet, RowSetBuilder
from batchd.spool.placing import make_folder, placed
from batchd.spool.work import Pause, rows_of

#: Of a smaller file it would take longer to write this, and to wait for the disk, than to read it.
WORTH_KEEPING = 1 << 20

_CHECK_EVERY = 4096  #: lines between two looks at whether somebody wants us to stop
_MARK_EVERY = 1000  #: rows
_TAIL = 1 << 20  #: bytes of a file's end that are sure to have all its marks
_HASH = 64  #: characters of a SHA-256
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(str).decode
_decode_marks = msgspec.json.Decoder(list[tuple[int, int]]).decode
_FIRST = (1, 0)  #: the first row, at the first byte

Identities = tuple[dict[str, int], RowSet]  #: rows by `custom_id`; those that asked for JSON


class Keeping:
    """Takes what a pass over a file finds."""

    def __init__(self, file: BinaryIO) -> None:
        self._write = file.write
        self._row = 0
        self._marks: list[tuple[int, int]] = []
        self._next_mark = 0

    def add(self, row: int, request: Request, end: int) -> None:
        """Take the request of a later row than the one before; its line ends before byte `end`."""
        if row > self._next_mark:
            # The next row's line, which is behind this one's.
            self._marks.append((row + 1, end))
            self._next_mark = row + _MARK_EVERY
        gap = b"\n" * (row - self._row)
        self._row = row
        self._write(gap + (b"j" if request.as_json else b"t") + _encode(request.custom_id))

    def finish(self, sha256: str) -> None:
        """Say which file it was, read to its end."""
        self._write(b"\n" + _encode(self._marks) + b"\n" + sha256.encode())


@contextmanager
def keeping(path: Path | None) -> Iterator[Keeping | None]:
    """Write to `path` what is taken in here; nothing where it is None."""
    if path is None:
        yield None
        return
    make_folder(path.parent)
    with placed(path) as file:
        yield Keeping(file)


def identities_of(
    rows: RowSet, kept: Path, sha256: str, lines: Callable[[], Path], *, pause: Pause
) -> Identities:
    """Return whose these rows are: as it was kept, or else by the file itself."""
    return _kept(rows, kept, sha256, pause) or _read(rows, lines(), pause)


def _kept(rows: RowSet, path: Path, sha256: str, pause: Pause) -> Identities | None:
    try:
        file = path.open("rb", buffering=1 << 18)
    except FileNotFoundError:
        return None
    with file:
        if not _is_of(file, sha256):
            return None
        return _identities(_lines_of(file, rows), pause)


def near(row: int, kept: Path, sha256: str) -> tuple[int, int]:
    """Return a row that is not after this one, and at which byte its line begins."""
    try:
        file = kept.open("rb")
    except FileNotFoundError:
        return _FIRST
    with file:
        if not _is_of(file, sha256):
            return _FIRST
        file.seek(max(file.seek(0, 2) - _TAIL, 0))
        marks = _decode_marks(file.read().rsplit(b"\n", 2)[-2])
    before = bisect_right(marks, row, key=lambda mark: mark[0])
    return marks[before - 1] if before else _FIRST


def _is_of(file: BinaryIO, sha256: str) -> bool:
    size = file.seek(0, 2)
    file.seek(max(size - _HASH, 0))
    is_of = file.read() == sha256.encode()
    file.seek(0)
    return is_of


def _lines_of(file: BinaryIO, rows: RowSet) -> Iterator[tuple[int, str, bool]]:
    next(file)  # the first row's line follows a line break, as every other's does
    at = 1
    for first, last in rows.ranges:
        for row, line in enumerate(islice(file, first - at, last + 1 - at), start=first):
            yield row, _decode(line[1:]), line.startswith(b"j")
        at = last + 1


def _read(rows: RowSet, lines: Path, pause: Pause) -> Identities:
    return _identities(
        ((row, *identity_of(line)) for row, line in rows_of(lines, rows, pause=pause)), pause
    )


def _identities(found: Iterator[tuple[int, str, bool]], pause: Pause) -> Identities:
    ids, asking = dict[str, int](), RowSetBuilder()
    for row, custom_id, as_json in found:
        ids[custom_id] = row
        if as_json:
            asking.add(row)
        if row % _CHECK_EVERY == 0:
            pause()
    return ids, asking.build()
