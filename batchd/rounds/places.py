"""Where each record of a table lies in its file: noted when it is planned, so that what is delivered
has the sender's own bytes without reading them as a table again.

Sixteen bytes a record: its first byte, and how many there are without the line break. Behind the last
one is how many records there are, and two checksums: of these, begun with the signature of the table,
and of their ids. What does not add up is no note, and the table is read as if there were none.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from batchd.spool.placing import placed_with_room

_PLACE_BYTES = 16
_AT_ONCE = 1 << 12  #: records written or read together


class Notes:
    """Takes where records lie, in their order, and what is written of their ids elsewhere."""

    def __init__(self, write: Callable[[bytes], object], signature: str) -> None:
        self._write = write
        self._checksum = crc32(signature.encode())
        self._of_ids = 0
        self._words = array("Q")
        self._count = 0

    def place(self, begin: int, length: int) -> None:
        """Take the first byte of a record, and its length."""
        self._words.extend((begin, length))
        if len(self._words) >= 2 * _AT_ONCE:
            self._flush()

    def and_id(self, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """Return what takes the lines of the file of ids, too."""

        def id(line: bytes) -> None:
            self._of_ids = crc32(line, self._of_ids)
            write(line)

        return id

    def finish(self) -> None:
        """Write the rest, and what tells that it is all."""
        self._flush()
        self._write(_little(_trailer(self._count, self._checksum, self._of_ids)).tobytes())

    def _flush(self) -> None:
        self._count += len(self._words) // 2
        content = _little(self._words).tobytes()
        self._checksum = crc32(content, self._checksum)
        self._write(content)
        del self._words[:]


def _trailer(count: int, checksum: int, of_ids: int) -> array[int]:
    return array("Q", (count, of_ids << 32 | checksum))


@contextmanager
def noted(path: Path, *, signature: str, keep_free: int = 0) -> Iterator[Notes]:
    """Note where the records of a table lie. The file appears whole."""
    with placed_with_room(path, keep_free=keep_free) as write:
        notes = Notes(write, signature)
        yield notes
        notes.finish()


def places_in(
    path: Path, *, ids: Path | None, signature: str, count: int
) -> Iterator[tuple[int, int]] | None:
    """Return where the records of this table lie; None where that was not noted of so many."""
    try:
        is_good = path.stat().st_size == _PLACE_BYTES * (count + 1)
        is_good = is_good and _end_of(path, count) == _as_found(path, ids, signature, count)
    except FileNotFoundError:
        return None
    return _read(path, count) if is_good else None


def _end_of(path: Path, count: int) -> array[int]:
    with path.open("rb") as file:
        file.seek(_PLACE_BYTES * count)
        return _words_of(file.read(_PLACE_BYTES))


def _as_found(path: Path, ids: Path | None, signature: str, count: int) -> array[int]:
    checksum, of_ids = crc32(signature.encode()), 0
    for words in _pieces(path, count):
        checksum = crc32(_little(words).tobytes(), checksum)
    if ids is not None:
        with ids.open("rb") as file:
            while piece := file.read(_PLACE_BYTES * _AT_ONCE):
                of_ids = crc32(piece, of_ids)
    return _trailer(count, checksum, of_ids)


def _read(path: Path, count: int) -> Iterator[tuple[int, int]]:
    for words in _pieces(path, count):
        yield from zip(words[::2], words[1::2], strict=True)


def _pieces(path: Path, count: int) -> Iterator[array[int]]:
    with path.open("rb") as file:
        for done in range(0, count, _AT_ONCE):
            yield _words_of(file.read(_PLACE_BYTES * min(_AT_ONCE, count - done)))


def _words_of(content: bytes) -> array[int]:
    words = array("Q")
    words.frombytes(content)
    return _little(words)


def _little(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words = array("Q", words)
        words.byteswap()
    return words
