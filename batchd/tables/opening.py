"""Opens a table: bytes inflated where it is packed, letters where it is text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from batchd.core.inflated import NO_LIMIT, PIECE, BadGzip, Inflated
from batchd.core.records import BadTable, Layout, is_packed_name

Pause: TypeAlias = Callable[[], object]

BOMS = {
    "utf-32-le": codecs.BOM_UTF32_LE,  # before UTF-16, whose mark begins alike
    "utf-32-be": codecs.BOM_UTF32_BE,
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


class _Watched(io.RawIOBase):
    """Lets whoever waits stop the reading, a piece at a time."""

    def __init__(self, raw: Any, pause: Pause) -> None:
        self._raw = raw
        self._pause = pause

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._pause()
        size: int = self._raw.readinto(buffer)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


@contextmanager
def opened(path: Path, *, pause: Pause, most: int = NO_LIMIT) -> Iterator[BinaryIO]:
    """Open a table's bytes; a packed one's are inflated, and no more than `most` of them.

    Raises `BadTable` for gzip data that can't be read to its end.
    """
    raw: Any = path.open("rb", buffering=0)
    if is_packed_name(path.name):
        raw = Inflated(raw, most)
    with io.BufferedReader(_Watched(raw, pause), PIECE) as file:
        try:
            yield file
        except BadGzip as bad:
            raise BadTable(bad.problem) from bad


def utf8(file: BinaryIO, layout: Layout, *, errors: str = "strict") -> BinaryIO:
    """Read a table as UTF-8, whatever its encoding, and without its mark."""
    if layout.encoding != "utf-8":
        return io.BufferedReader(_Recoded(letters(file, layout, errors=errors)), PIECE)
    if layout.bom:
        file.read(len(BOMS["utf-8"]))
    return file


class _Recoded(io.RawIOBase):
    """Text of another encoding, as the bytes of UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            # Half a letter, which UTF-16 may hold, goes on to whoever says in which record it is.
            self._rest = self._text.read(PIECE).encode("utf-8", "surrogatepass")
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def letters(
    file: BinaryIO, layout: Layout, *, errors: str = "strict", newline: str = ""
) -> io.TextIOWrapper:
    r"""Read a table as text, its line breaks as they stand, without its mark.

    `newline="\n"`: \r ends no line, which is found in a third of the time.
    """
    if layout.bom:
        file.read(len(BOMS[layout.encoding]))
    text = io.TextIOWrapper(file, encoding=layout.encoding, errors=errors, newline=newline)
    # It asks for 8 kB at a time otherwise, and gets these past the buffer below it: each a call of ours.
    text._CHUNK_SIZE = PIECE  # type: ignore[attr-defined]
    return text


def folder_of(file: BinaryIO) -> Path | None:
    """Return where a file lies, for what is kept on the way: there is room, or nowhere."""
    name = getattr(file, "name", None)
    return Path(name).parent if isinstance(name, str) else None
