"""Records that are JSON objects: in lines, or in one array. Their bytes are kept as they stand.

An array is cut up without being understood: only its objects are decoded, one at a time, and what
is given back are the sender's own bytes, with numbers as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Record

#: Bytes of one object: as many as inbox.max_line_bytes lets a request have. More is a bracket that
#: never closes, and would have the whole file in memory.
MAX_OBJECT = 1 << 26

_PIECE = 1 << 20
_BLANKS = b" \t\r\n"
_SPACE = re.compile(rb"[ \t\r\n]*+")
#: Everything up to the next bracket that is not within a string, or up to a string without end.
_UP_TO_BRACKET = re.compile(
    rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL
)
_OPENING, _CLOSING = b"{[", b"}]"
_EXCERPT = 120
_REQUEST = {"custom_id", "method", "url", "body"}  #: the members of a native request line

_decode = msgspec.json.Decoder().decode


def records_of_lines(file: BinaryIO) -> Iterator[Record]:
    """Read an object per line; blank lines are no records. Raises `BadTable`."""
    row = 0
    lines = iter(lambda: file.readline(MAX_OBJECT + 1), b"")
    for line, text in enumerate(lines, start=1):
        raw = text.strip(_BLANKS)
        if not raw:
            continue
        row += 1
        if len(text) > MAX_OBJECT:
            raise _too_long(row, line)
        fields = _object(raw, row, line)
        if row == 1 and fields.keys() >= _REQUEST:
            raise _native()
        yield Record(row, fields, line, raw)


def records_of_array(file: BinaryIO) -> Iterator[Record]:
    """Read the objects of one array. Raises `BadTable`."""
    for row, (line, raw) in enumerate(_Array(file.read).elements(), start=1):
        yield Record(row, _object(raw, row, line), line, raw)


def looks_like_lines(start: bytes) -> bool:
    """Whether a file that begins so has an object per line, as many a .json has."""
    first, _, rest = start.lstrip(_BLANKS).partition(b"\n")
    if not first.startswith(b"{") or not rest.lstrip(_BLANKS).startswith(b"{"):
        return False
    try:
        _decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def with_members(raw: bytes, values: Mapping[str, Any]) -> bytes:
    """Return an object with members added at its end."""
    if not values:
        return raw
    inside = raw[:-1].rstrip(_BLANKS)
    comma = b"" if inside == b"{" else b","
    return inside + comma + msgspec.json.encode(values)[1:]


class Array:
    """Writes an array, an object a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._before = b"[\n"

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write one object as it was, with members added."""
        self._file.write(self._before + with_members(record.raw, values))
        self._before = b",\n"

    def close(self) -> None:
        """Write the end."""
        self._file.write(b"\n]\n" if self._before == b",\n" else b"[]\n")


class Lines:
    """Writes JSON Lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write one object as it was, with members added."""
        self._file.write(with_members(record.raw, values) + b"\n")

    def close(self) -> None:
        """Nothing is left to write."""


class _Array:
    """Cuts an array into its objects, with no more of it in memory than one object and a piece."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._at = 0  #: where reading goes on
        self._line = 1  #: of that place
        self._row = 0

    def elements(self) -> Iterator[tuple[int, bytes]]:
        if self._next() != b"[":
            raise _no_array()
        self._at += 1
        if self._next() == b"]":
            self._at += 1
        else:
            yield from self._objects()
        if found := self._next():
            raise self._wrong("stands behind the array", found)

    def _objects(self) -> Iterator[tuple[int, bytes]]:
        while True:
            self._row += 1
            found = self._next()
            if found != b"{":
                raise self._no_object(found)
            line = self._line
            yield line, self._object()
            found = self._next()
            self._at += 1
            if found == b"]":
                return
            if found != b",":
                raise self._wrong("stands where a comma or the array's end belongs", found)

    def _next(self) -> bytes:
        """Go on to the next letter that is no space, and return it; b"" at the end of the file."""
        while True:
            end = _SPACE.match(self._data, self._at).end()  # type: ignore[union-attr]
            self._line += self._data.count(b"\n", self._at, end)
            self._at = end
            if end < len(self._data):
                return self._data[end : end + 1]
            if not self._more():
                return b""

    def _object(self) -> bytes:
        """Take the object that begins here, up to the bracket that closes it."""
        end = depth = 0
        while True:
            end = _UP_TO_BRACKET.match(self._data, self._at + end).end() - self._at  # type: ignore[union-attr]
            bracket = self._data[self._at + end : self._at + end + 1]
            if not bracket or bracket == b'"':
                if end > MAX_OBJECT or len(self._data) - self._at > MAX_OBJECT:
                    raise _too_long(self._row, self._line)
                if not self._more():
                    raise self._cut()
                continue
            depth += 1 if bracket in _OPENING else -1
            end += 1
            if not depth:
                return self._taken(end)

    def _taken(self, size: int) -> bytes:
        raw = self._data[self._at : self._at + size]
        self._at += size
        self._line += raw.count(b"\n")
        return raw

    def _more(self) -> bool:
        rest = self._data[self._at :]
        # As much again as waits for its end: a long text is looked through from its beginning.
        piece = self._read(max(_PIECE, len(rest)))
        self._data, self._at = rest + piece, 0
        return bool(piece)

    def _no_object(self, found: bytes) -> BadTable:
        if not found:
            return self._cut()
        if found == b"]":
            return self._wrong("follows a comma", found)
        return _no_object(self._row, self._line, self._data[self._at : self._at + _EXCERPT])

    def _cut(self) -> BadTable:
        return _problem(
            "json_cut",
            "the file ends in the middle of the array",
            "Copy it again: its end is missing, or a bracket that closes.",
            row=self._row or None,
            line=self._line,
        )

    def _wrong(self, words: str, found: bytes) -> BadTable:
        if not found:
            return self._cut()
        shown = printable(found.decode("utf-8", "backslashreplace"))
        return _problem(
            "not_json",
            f"{shown!r} on line {self._line} {words}",
            "A file of records is one array of objects: [{...}, {...}].",
            row=self._row or None,
            line=self._line,
        )


def _object(raw: bytes, row: int, line: int) -> dict[str, Any]:
    try:
        fields = _decode(raw)
    except UnicodeDecodeError as error:
        raise _problem(
            "not_decodable",
            f"the record on line {line} has a byte that is no letter in UTF-8",
            "Save the file as UTF-8, or have the task name its encoding: [input] encoding.",
            row=row,
            line=line,
            raw=raw,
        ) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _problem(
            "not_json",
            f"the record on line {line} is not JSON ({error})",
            "Mend this record.",
            row=row,
            line=line,
            raw=raw,
        ) from error
    if not isinstance(fields, dict):
        raise _no_object(row, line, raw)
    return fields


def _no_object(row: int, line: int, raw: bytes) -> BadTable:
    return _problem(
        "not_an_object",
        f"the record on line {line} is no object",
        'Write each record as an object with named members: {"text": "..."}.',
        row=row,
        line=line,
        raw=raw,
    )


def _no_array() -> BadTable:
    return _problem(
        "not_an_array",
        "the file is no array of objects",
        "Write [{...}, {...}], or an object per line and call it .jsonl.",
    )


def _native() -> BadTable:
    return _problem(
        "request_lines",
        "the file holds finished request lines (custom_id, method, url, body), and a task makes"
        " requests of records",
        "Drop it into inbox/ itself: it needs no task.",
    )


def _too_long(row: int, line: int) -> BadTable:
    return _problem(
        "record_too_long",
        f"the record on line {line} is longer than {MAX_OBJECT:,} bytes",
        "A bracket or a quote that never closes looks like this; close it.",
        row=row,
        line=line,
    )


def _problem(
    code: str,
    message: str,
    remedy: str,
    *,
    row: int | None = None,
    line: int | None = None,
    raw: bytes = b"",
) -> BadTable:
    excerpt = printable(raw[:_EXCERPT].decode("utf-8", "backslashreplace"))
    return BadTable(Problem(code, message, remedy, line=line, row=row, excerpt=excerpt))
