"""The texts that the cells of a workbook share: each by its number, and few of them in memory.

A workbook has each text once, whoever shows it: a table of 400,000 rows can have four million of
them. More than a megabyte of them waits in a scratch file, in blocks. Programs number texts as they
come, so a block mostly has what the next cells ask for; a sheet that was sorted afterwards asks for
another block with each row, which is why blocks are small.
"""

from __future__ import annotations

import io
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchd.tables.opening import Pause
from batchd.tables.parts import BadPart, Part, unescaped

_IN_MEMORY = 1 << 20  #: bytes of texts, before they go into the file
_TEXTS, _BYTES = 64, 1 << 13  #: in a block at most, but for one text that is longer by itself
_BLOCKS = 64  #: of those read last, kept for texts that come again and again
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


class SharedStrings:
    """The texts of one workbook, read as far as somebody asks."""

    def __init__(self, stream: BinaryIO, *, pause: Pause, folder: Path) -> None:
        """`folder`: where the scratch file lies, if that can be without a name; else where others do."""
        self._part = _Texts(stream, pause)
        self._folder = folder
        self._file: BinaryIO = io.BytesIO()
        self._firsts, self._places = array("Q"), array("Q", [0])  #: of the blocks
        self._written = 0
        self._block: Callable[[int], list[str]] = lru_cache(_BLOCKS)(self._read_block)
        self._first, self._texts = 0, list[str]()  #: of the block asked last

    def __getitem__(self, number: int) -> str:
        """Return a text. Raises `BadPart` where there is none of this number."""
        at = number - self._first
        if 0 <= at < len(self._texts):
            return self._texts[at]
        if number >= self._written + len(self._part.found):
            self._read_up_to(number)
        if number >= self._written:
            return self._part.found[number - self._written]
        if number < 0:
            raise _no_such(number)
        block = bisect_right(self._firsts, number) - 1
        self._first, self._texts = self._firsts[block], self._block(block)
        return self._texts[number - self._first]

    def close(self) -> None:
        """Let the files go."""
        self._part.close()
        self._file.close()

    def _read_up_to(self, number: int) -> None:
        while number >= self._written + len(self._part.found):
            if not self._part.read_on():
                break
            self._put_away()
        else:
            return
        if number >= self._written + len(self._part.found):
            raise _no_such(number)

    def _put_away(self) -> None:
        """Write whole blocks; what is left is a part of the next."""
        found, begin, size = self._part.found, 0, 0
        for end, text in enumerate(found, start=1):
            size += len(text)
            if end - begin >= _TEXTS or size >= _BYTES:
                self._write_block(found[begin:end])
                begin, size = end, 0
        del found[:begin]

    def _write_block(self, texts: list[str]) -> None:
        self._firsts.append(self._written)
        self._file.seek(self._places[-1])
        self._file.write(_encode(texts))
        self._places.append(self._file.tell())
        self._written += len(texts)
        if isinstance(self._file, io.BytesIO) and self._places[-1] > _IN_MEMORY:
            file = _scratch(self._folder)
            file.write(self._file.getvalue())
            self._file = file

    def _read_block(self, block: int) -> list[str]:
        begin, end = self._places[block], self._places[block + 1]
        self._file.seek(begin)
        return _decode(self._file.read(end - begin))


class NoStrings:
    """Those of a workbook that has none."""

    def __getitem__(self, number: int) -> str:
        """Raise `BadPart`: a cell asks for what is not there."""
        raise _no_such(number)

    def close(self) -> None:
        """There is nothing to let go."""


class _Texts(Part):
    """Reads them."""

    def __init__(self, stream: BinaryIO, pause: Pause) -> None:
        super().__init__(stream, pause)
        self.found = list[str]()

    def named(self, prefix: str) -> None:
        self._t, self._si, self._ph = prefix + "t", prefix + "si", prefix + "rPh"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._t:
            self.begin_text(attributes)
        elif name == self._si:
            self._text = ""
        elif name == self._ph:
            self._is_spoken = True

    def end(self, name: str) -> None:
        if name == self._t:
            self.end_text()
        elif name == self._si:
            self.found.append(unescaped(self._text))
            self._text = ""
        elif name == self._ph:
            self._is_spoken = False


def _scratch(folder: Path) -> BinaryIO:
    """Open a file that nobody sees and that ends with us: beside the table there is room, or nowhere.

    A name would not do there, however short a time: a job's folder holds one file, and an inbox is
    other people's.
    """
    try:
        flags = os.O_RDWR | os.O_EXCL | os.O_TMPFILE
        return os.fdopen(os.open(folder, flags, 0o600), "w+b")
    except (OSError, AttributeError):  # a file system or a kernel that has none such
        return tempfile.TemporaryFile()


def _no_such(number: int) -> BadPart:
    return BadPart(f"a cell has text {number:,}, and there is no such text in it")
