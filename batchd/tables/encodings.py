"""How a table's letters are encoded: by its mark, as UTF-8 where all of it is, else guessed."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchd.core.inflated import NO_LIMIT, PIECE
from batchd.core.problems import Problem
from batchd.core.records import BadTable
from batchd.tables.opening import BOMS, Pause, opened

_START = 1 << 12  #: bytes in which zeros betray UTF-16 without a mark
_SAMPLE = 1 << 16  #: bytes of lines with strange letters that are guessed from
_LONGEST = 4  #: bytes of a letter that may wait for its end
_MOST_READ = 4  #: pieces that are searched for such lines

#: What is guessed among: what spreadsheets and old exports write. Among all that Python knows, a
#: short text of one letter in a hundred is as likely from Iceland's Mac of 1990.
_OF_ONE_BYTE = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "koi8_r")
_OF_SEVERAL = ("cp932", "euc_jp", "gb18030", "big5", "cp949")
_USUAL = "cp1252"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a table's letters are encoded."""

    name: str
    bom: bool = False
    is_guessed: bool = False


def find_encoding(
    path: Path, wanted: str = "auto", *, pause: Pause, most: int = NO_LIMIT
) -> Encoding:
    """Find out how a table is encoded. A mark says it for sure, whatever was asked for.

    Otherwise all of it is looked at: the first strange letter may stand on the last page.
    """
    with opened(path, pause=pause, most=most) as file:
        start = file.read(_START)
        for name, bom in BOMS.items():
            if start.startswith(bom):
                return Encoding(name, bom=True)
        if wanted != "auto":
            return Encoding(_known(wanted))
        if sort := _by_zeros(start):
            return Encoding(sort)
    with opened(path, pause=pause, most=most) as file:
        bad = first_bad(file, "utf-8")
        if bad is None or bad.had_others:
            return Encoding("utf-8")
        return _guess(bad.piece, file)


def _known(wanted: str) -> str:
    try:
        "".encode(wanted)
        name = codecs.lookup(wanted).name
    except (LookupError, UnicodeError) as error:
        raise BadTable(
            Problem(
                "unknown_encoding",
                f'the task reads it as "{wanted}", which is no known encoding',
                'Name another in [input] encoding, such as "utf-8" or "cp1252", or leave it out.',
                param="input.encoding",
            )
        ) from error
    # What looks for a mark by itself, and finds none here.
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)


def _by_zeros(start: bytes) -> str | None:
    """Return which UTF-16 it is whose letters are mostly of two bytes, one of them zero."""
    half = len(start) // 2
    if half and start[1::2].count(0) > half // 2:
        return "utf-16-le"
    return "utf-16-be" if half and start[0::2].count(0) > half // 2 else None


@dataclass(frozen=True, slots=True)
class Bad:
    """The first byte that an encoding does not know."""

    offset: int  #: in the file, inflated
    piece: bytes  #: from that byte on
    had_others: bool  #: whether letters beyond ASCII came before it, and were right


def first_bad(file: BinaryIO, encoding: str) -> Bad | None:
    """Return what does not fit an encoding; None where all of it fits."""
    decoder = codecs.getincrementaldecoder(encoding)()
    read, had_others = 0, False
    while True:
        pending = decoder.getstate()[0]
        piece = file.read(PIECE)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            data = pending + piece
            others = had_others or not data[: error.start].isascii()
            return Bad(read - len(pending) + error.start, data[error.start :], others)
        had_others = had_others or len(text) < len(piece) - _LONGEST
        read += len(piece)
        if not piece:
            return None


def _guess(piece: bytes, file: BinaryIO) -> Encoding:
    """Guess from lines with letters beyond ASCII, unless most of these are UTF-8: then one is bad."""
    lines = _strange_lines(piece, file)
    good = sum(_is_utf8(line) for line in lines)
    if good * 2 > len(lines):
        return Encoding("utf-8")
    return Encoding(_likeliest(b"".join(lines)), is_guessed=True)


def _strange_lines(piece: bytes, file: BinaryIO) -> list[bytes]:
    lines, size = list[bytes](), 0
    for _ in range(_MOST_READ):
        for line in piece.splitlines(keepends=True):
            if not line.isascii():
                lines.append(line[: _SAMPLE - size])
                size += len(lines[-1])
            if size >= _SAMPLE:
                return lines
        piece = file.read(PIECE)
    return lines


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _likeliest(sample: bytes) -> str:
    # Imported late: it is rarely needed.
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=[*_OF_ONE_BYTE, *_OF_SEVERAL])
    best = found.best()
    if best is None or sample.decode(_USUAL, "replace") == str(best):
        return _USUAL
    if best.encoding in _OF_ONE_BYTE and not best.coherence:
        return _USUAL  # a euro sign or two: no language was recognised
    # What is as good as the best is the usual one.
    usual = (other for other in found if other.encoding == _USUAL)
    return next((_USUAL for one in usual if one.chaos <= best.chaos), best.encoding)
