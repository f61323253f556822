"""Where each row's answer lies: 24 bytes per request instead of the answer itself in memory."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_WORDS = 3  # row and source, offset, length
_WORD = "Q"
ENTRY_BYTES = 8 * _WORDS


class Source(IntEnum):
    """Which file a line is in. The value is what the index file has."""

    OUTPUT = 0
    ERROR = 1
    NOTES = 2  #: batchd's own word, where the provider has none


class Entry(NamedTuple):
    """Where one row's answer lies."""

    row: int
    source: Source
    offset: int
    length: int  #: without the line break
    unsent: bool = False  #: it says only that the request never ran: no word against an earlier one
    as_json: bool | None = None  #: whether its request asked for JSON; None where that is not noted


_SOURCES = tuple(Source)  #: by value: a look is a third of the price of a call, a million times
#: Beside the source, in the first word. An index from before the last two has none of them.
_UNSENT, _JSON, _IS_NOTED = 0x80, 0x40, 0x20
_KIND = 0x1F


class AnswerIndex:
    """Rows of one shard and where their answers lie; at most one entry counts per row."""

    def __init__(self) -> None:
        self._words = array(_WORD)

    def add(
        self,
        row: int,
        source: Source,
        offset: int,
        length: int,
        *,
        unsent: bool = False,
        as_json: bool | None = None,
    ) -> None:
        """Note one row's answer: `length` bytes at `offset`, without the line break."""
        head = row << 8 | source
        if unsent:
            head |= _UNSENT
        self._words.extend((head | _noted(as_json), offset, length))

    def add_from(self, other: AnswerIndex, number: int, *, as_json: bool | None) -> None:
        """Note what another index has as its `number`-th entry (from 0)."""
        at = number * _WORDS
        head, offset, length = other._words[at : at + _WORDS]
        self._words.extend((head | _noted(as_json), offset, length))

    def __len__(self) -> int:
        return len(self._words) // _WORDS

    def __iter__(self) -> Iterator[Entry]:
        words = self._words
        for head, offset, length in zip(
            words[0::_WORDS], words[1::_WORDS], words[2::_WORDS], strict=True
        ):
            yield _entry(head, offset, length)

    def rows(self) -> Iterator[tuple[int, bool]]:
        """Yield each entry's row, and whether it is `unsent`: no more of a million than is needed."""
        for head in self._words[0::_WORDS]:
            yield head >> 8, head & _UNSENT != 0

    def ends(self) -> dict[Source, int]:
        """Return how far the entries reach into each file. Raises `ValueError` for no such file."""
        words, ends = self._words, dict.fromkeys(range(_KIND + 1), 0)
        for head, offset, length in zip(
            words[0::_WORDS], words[1::_WORDS], words[2::_WORDS], strict=True
        ):
            ends[head & _KIND] = max(ends[head & _KIND], offset + length)
        return {Source(kind): end for kind, end in ends.items() if end}

    def entry(self, number: int) -> Entry:
        """Return the `number`-th entry (from 0)."""
        words, at = self._words, number * _WORDS
        return _entry(words[at], words[at + 1], words[at + 2])

    def encode(self) -> bytes:
        """Return the bytes of the index file (little-endian)."""
        return _little(self._words).tobytes()

    @classmethod
    def decode(cls, content: bytes) -> AnswerIndex:
        """Undo `encode`. Raises `ValueError` for a length that can't be."""
        if len(content) % ENTRY_BYTES:
            raise ValueError("an answer index of odd length")
        index = cls()
        words = array(_WORD)
        words.frombytes(content)
        index._words = _little(words)
        return index


def _noted(as_json: bool | None) -> int:
    if as_json is None:
        return 0
    return _IS_NOTED | _JSON if as_json else _IS_NOTED


def _entry(head: int, offset: int, length: int) -> Entry:
    kind = head & _KIND
    source = _SOURCES[kind] if kind < len(_SOURCES) else Source(kind)
    as_json = head & _JSON != 0 if head & _IS_NOTED else None
    # Not by its name: that takes twice as long, and there are a million of them.
    return tuple.__new__(Entry, (head >> 8, source, offset, length, head & _UNSENT != 0, as_json))


def _little(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words = array(_WORD, words)
        words.byteswap()
    return words
