"""Plain text: a record per line, or one of the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record, Sink

#: Characters of one record: as many as inbox.max_line_bytes lets a request have bytes.
MAX_TEXT = 1 << 26


def records_of(file: TextIO, layout: Layout) -> Iterator[Record]:
    """Read the records. Lines without a letter are none; spaces at a line's ends are kept."""
    (column,) = layout.columns
    if layout.record == "file":
        text = _checked(file.read(MAX_TEXT + 1), 1, 1)
        if text.strip():
            yield Record(1, {column: text}, 1, text)
        return
    row = 0
    lines = iter(lambda: file.readline(MAX_TEXT + 1), "")
    for line, text in enumerate(lines, start=1):
        if text.strip():
            row += 1
            one = _checked(text, row, line).rstrip("\r\n")
            yield Record(row, {column: one}, line, one + layout.line_end)


class Texts:
    """Writes plain text again; there are no columns, so nothing can be added."""

    def __init__(self, file: Sink) -> None:
        self._file = file

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write one record as it was."""
        self._file.write(record.raw)


def _checked(text: str, row: int, line: int) -> str:
    if len(text) > MAX_TEXT:
        raise BadTable(
            Problem(
                "record_too_long",
                f"the text on line {line} is longer than {MAX_TEXT:,} characters",
                "Cut it up; no model reads as much at once.",
                line=line,
                row=row,
            )
        )
    return text
