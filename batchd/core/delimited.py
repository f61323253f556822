"""CSV and TSV: lines of text become records, and records become lines in the sender's dialect.

A record's fields are what the csv module reads: nothing is stripped, no number is formatted anew.
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record, Sink, empty_table
from batchd.core.splitting import MAX_FIELD, Splitter, options

_END = "\0 the end \0"  #: a line of ours behind the last one; see `_rows`
_SHOWN = 60  #: characters of a name in a message


def with_columns(layout: Layout, lines: Iterable[str]) -> Layout:
    """Return the layout with the columns that the header names. Raises `BadTable`."""
    header = next((row for _, row, _ in _rows(lines, layout) if not _is_blank(row)), None)
    if header is None:
        raise empty_table()
    return msgspec.structs.replace(layout, header=tuple(header), columns=column_names(header))


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """Name the columns: as the header does, and `column_3` for the third where it has no name.

    An unnamed one is usual: the index that pandas writes before all others. Two of one name are
    refused, for a template could only mean one of them.
    """
    taken = Counter(name for name in header if name)
    for name, times in taken.items():
        if times > 1:
            raise _twice(name, [n for n, one in enumerate(header, start=1) if one == name])
    return tuple(name or _unnamed(at, taken) for at, name in enumerate(header, start=1))


def is_noted(layout: Layout) -> bool:
    """Whether records are told where they lie: where results have the sender's bytes as they stand."""
    is_delimited = layout.format in ("csv", "tsv")
    return is_delimited and layout.encoding == "utf-8" and bool(layout.quote)


def records_of(lines: Iterable[str], layout: Layout) -> Iterator[Record]:
    """Read the records below the header, in order. Raises `BadTable` at the first misfit."""
    columns, width = layout.columns, len(layout.columns)
    rows, size = _rows(lines, layout), _size if is_noted(layout) else _no_size
    begin = size(layout.preamble) + (len(BOM_UTF8) if layout.bom else 0)
    for _, values, text in rows:
        begin += size(text)
        if not _is_blank(values):
            break  # the header
    number = 0
    for line, values, text in rows:
        at, begin = begin, begin + size(text)
        length = begin - at - _end_of(text)
        if len(values) != width:
            if _is_blank(values):
                continue
            raise _misfit(number + 1, line, values, layout)
        number += 1
        fields = dict(zip(columns, values, strict=True))
        yield Record(number, fields, line, text, (at, length))


def _size(text: str) -> int:
    """How many bytes a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _no_size(text: str) -> int:
    return 0


def _rows(lines: Iterable[str], layout: Layout) -> Iterator[tuple[int, list[str], str]]:
    """Yield each row, blank ones too, between the line that it begins on and its text.

    The end of a file passes for the end of a quoted field. A line of ours behind the last one tells:
    it must come back as a row of its own.
    """
    source = iter(lines)
    line = 2 if layout.preamble else 1
    if layout.preamble:
        next(source, None)
    number = 0
    try:
        rows = Splitter(chain(source, (_END,)), layout)
        for row, taken in rows:
            if row and row[-1].endswith(_END):
                if row != [_END]:
                    raise _never_closed(number, line, layout.quote)
                return
            if rows.is_odd and _takes_others(taken, layout):
                raise _never_closed(number, line, layout.quote)
            yield line, row, taken[0] if len(taken) == 1 else "".join(taken)
            number += not _is_blank(row)
            line += len(taken)
    except csv.Error as error:
        raise _unreadable(number, line, str(error)) from error


def _takes_others(taken: Sequence[str], layout: Layout) -> bool:
    """Whether a row of several lines has a quote that never closes, and goes on into the next rows.

    The quote that ends it there stands where a field begins, and has letters behind it.
    """
    known = options(layout.delimiter, layout.quote, layout.escape)
    try:
        for _ in csv.reader(taken, **known, strict=True):
            pass
    except csv.Error:
        delimiter, quote = re.escape(layout.delimiter), re.escape(layout.quote)
        opens = re.compile(f"(?:^|{delimiter}){quote}(?!{quote}|{delimiter}|[\\r\\n]|$)")
        return any(opens.search(line) for line in taken[1:])
    return False


def _is_blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


class Rows:
    """Writes records as the table they came from, with columns added at its end.

    The sender's part of a row is their own text, quotes and all. Only where quotes were letters
    like others it is written anew: an answer of two lines needs quotes that mean something.
    """

    def __init__(self, file: Sink, layout: Layout, added: Sequence[str]) -> None:
        self._file = file
        self._line_end = layout.line_end
        self._lead = len('""') if layout.quotes_all else 0  #: of an empty field before the others
        self._added = tuple(added)
        self._is_anew = bool(added) and not layout.quote
        quote = '"' if self._is_anew else layout.quote
        known = options(layout.delimiter, quote, layout.escape)
        if layout.quotes_all:
            known["quoting"] = csv.QUOTE_ALL
        self._text_of = csv.writer(_Echo(), **known, lineterminator=layout.line_end).writerow
        file.write(layout.preamble + self._row([*layout.header, *added]))

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write one record. A column without a value stays empty."""
        cells = [cell(values.get(name)) for name in self._added]
        if self._is_anew:
            self._file.write(self._row([*record.fields.values(), *cells]))
            return
        rest = self._row(["", *cells])[self._lead :] if cells else self._line_end
        if isinstance(record.raw, str):
            self._file.write(_without_end(record.raw) + rest)
        else:
            self._file.write(record.raw)  # its bytes as they lie in the file
            self._file.write(rest)

    def _row(self, fields: Sequence[str]) -> str:
        text: Any = self._text_of(fields)
        return text  # type: ignore[no-any-return]


class _Echo:
    """Hands back what a writer of the csv module would have written."""

    def write(self, text: str) -> str:
        return text


def _end_of(text: str) -> int:
    r"""Return how many letters the line break takes at the end of a text: "\r\n", "\n", "\r"."""
    if text.endswith("\n"):
        return 2 if text.endswith("\r\n") else 1
    return int(text.endswith("\r"))


def _without_end(text: str) -> str:
    return text[: len(text) - _end_of(text)]


def cell(value: Any) -> str:
    """Return what a value is called where there is only text: as JSON writes it; None is empty."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _unnamed(at: int, taken: Mapping[str, int]) -> str:
    name = f"column_{at}"
    while name in taken:
        name += "_"
    return name


def _twice(name: str, places: Sequence[int]) -> BadTable:
    return BadTable(
        Problem(
            "duplicate_column",
            f'the header has the column "{_shown(name)}" more than once'
            f" ({', '.join(f'the {at}.' for at in places)})",
            "Give every column a name of its own, or leave out all but one.",
            param=name,
        )
    )


def _misfit(row: int, line: int, values: Sequence[str], layout: Layout) -> BadTable:
    width = len(layout.columns)
    if len(values) < width:
        missing = _shown(layout.columns[len(values)])
        message = f'from "{missing}" on there is nothing in it'
        remedy = "Fill it up with delimiters; a line break inside a field must be within quotes."
    elif not any(values[width:]):
        message = "what is too much is empty"
        remedy = (
            f"Remove {_named(layout.delimiter)} from the end of the row, or add one to the header."
        )
    else:
        message = f'what is too much begins with "{_shown(values[width])}"'
        remedy = f"Put fields that hold {_named(layout.delimiter)} into quotes."
    fields = "1 field" if len(values) == 1 else f"{len(values)} fields"
    return BadTable(
        Problem(
            "wrong_width",
            f"the row on line {line} has {fields}, and the header has {width}: {message}",
            remedy,
            line=line,
            row=row,
            excerpt=printable(layout.delimiter.join(values)[: 2 * _SHOWN]),
        )
    )


def _never_closed(row: int, line: int, quote: str) -> BadTable:
    return BadTable(
        Problem(
            "quote_never_closed",
            f"a quote ({quote}) that opens in the row on line {line} never closes",
            "Close it, or copy the file again: its end may be missing. Where quotes are letters like"
            ' others, have the task say so: [input] quote = "".',
            line=line,
            row=row or None,
        )
    )


def _unreadable(row: int, line: int, error: str) -> BadTable:
    if "field limit" in error:
        code, message = "field_too_long", f"has a field longer than {MAX_FIELD:,} characters"
        remedy = "A quote that opens and never closes looks like this; close it."
    else:
        code, message, remedy = "bad_row", f"can't be read ({error})", "Mend this row."
    return BadTable(
        Problem(code, f"the row on line {line} {message}", remedy, line=line, row=row or None)
    )


def _named(delimiter: str) -> str:
    return {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(delimiter, f'"{delimiter}"')


def _shown(name: str) -> str:
    return printable(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
