"""Lines of a CSV become its rows: as the csv module has them, and three times as fast as it.

That module looks at every letter. Where a row is written as RFC 4180 has it, looking for its quotes
and cutting at its delimiters comes to the same, and is the library's of C that searches memory. What
is written otherwise is the module's: quotes in the middle of a field, letters behind a closed one.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from batchd.core.records import Layout

#: Characters of one field: as many as inbox.max_line_bytes lets a request have. More is a quote
#: that never closes, and would have the whole file in memory.
MAX_FIELD = 1 << 26
csv.field_size_limit(MAX_FIELD)  # one for the whole process, and 131,072 where nobody sets it

_ENDS = "\r\n"
#: Characters from quote to quote below which the csv module is as fast: cells of JSON have many.
_WORTH_IT = 16

Row = tuple[list[str], list[str]]  #: its fields, and the lines that it takes


def options(delimiter: str, quote: str, escape: str) -> dict[str, Any]:
    """Return what the csv module calls a dialect."""
    return {
        "delimiter": delimiter,
        "quotechar": quote or None,
        "quoting": csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        "doublequote": not escape,
        "escapechar": escape or None,
    }


class Splitter:
    r"""Yields the rows of a table, blank ones as well: fields and lines. Raises `csv.Error`.

    What ends with \r alone is a line as well, though lines may come cut at \n only.

    A row whose quote never closes ends with the last line, as with the csv module.
    """

    def __init__(self, lines: Iterable[str], layout: Layout) -> None:
        self._source = iter(lines)
        self.is_odd = False  #: whether the last row took the csv module, and several lines
        self._back = deque[str]()  #: lines that were looked at in vain
        self._seen = list[str]()  #: lines that the csv module took for its row
        self._delimiter = layout.delimiter
        self._quote = layout.quote
        self._is_escaped = bool(layout.escape)
        self._csv = csv.reader(
            self._handed_on(), **options(layout.delimiter, layout.quote, layout.escape)
        )

    def __iter__(self) -> Iterator[Row]:
        delimiter, quote = self._delimiter, self._quote
        while (line := self._next()) is not None:
            self.is_odd = False
            if self._is_escaped or len(line) > MAX_FIELD:
                yield self._as_csv_has_it([line])
            elif quote and quote in line:
                yield self._quoted(line)
            else:
                text = line.rstrip(_ENDS)
                yield text.split(delimiter) if text else [], [line]

    def _next(self) -> str | None:
        if self._back:
            return self._back.popleft()
        line = next(self._source, None)
        if line is not None and "\r" in line.removesuffix("\r\n"):
            self._back.extend(io.StringIO(line, newline=""))
            return self._back.popleft()
        return line

    def _quoted(self, line: str) -> Row:
        """Cut a row at its quotes: what lies outside of them and inside, in turn."""
        lines, pieces, known, size = [line], line.split(self._quote), 0, len(line)
        # Between two delimiters all that is outside looks alike, the first and the last as well.
        pieces[0] = self._delimiter + pieces[0]
        while len(pieces) % 2 == 0:
            # Looked at before a line more is: a quote that is none would open half a file.
            if not self._are_between(pieces[known:-1:2]) or not (rest := self._rest(size)):
                return self._as_csv_has_it(lines)
            known = len(pieces)
            lines += rest
            size += sum(map(len, rest))
            closing = rest.pop().split(self._quote)
            pieces[-1] = "".join((pieces[-1], *rest, closing[0]))
            pieces += closing[1:]
        pieces[-1] = pieces[-1].rstrip(_ENDS) + self._delimiter
        if size >= _WORTH_IT * len(pieces) and self._are_between(pieces[known::2]):
            return self._fields(pieces), lines
        return self._as_csv_has_it(lines)

    def _rest(self, size: int) -> list[str]:
        """Read on, to the next line with a quote. None, and none read, where there is none so far.

        `size`: of the row as far as it was read.
        """
        rest = list[str]()
        while size < MAX_FIELD and (line := self._next()) is not None:
            rest.append(line)
            if self._quote in line:
                return rest
            size += len(line)
        self._back.extendleft(reversed(rest))
        return []

    def _are_between(self, pieces: Sequence[str]) -> bool:
        """Whether this is what stands outside of quotes: nothing, or whole fields."""
        delimiter = self._delimiter
        return all(not one or one[0] == delimiter == one[-1] for one in pieces)

    def _fields(self, pieces: Sequence[str]) -> list[str]:
        fields, text = self._within(pieces[0]), ""
        for inside, between in zip(pieces[1::2], pieces[2::2], strict=True):
            if not between:
                text += inside + self._quote  # two quotes in a row are one of the text
                continue
            fields.append(text + inside)
            fields += self._within(between)
            text = ""
        return fields

    def _within(self, between: str) -> list[str]:
        return between[1:-1].split(self._delimiter) if len(between) > 1 else []

    def _as_csv_has_it(self, lines: Sequence[str]) -> Row:
        self._back.extendleft(reversed(lines))
        self._seen.clear()
        row, taken = next(self._csv), self._seen[:]
        self.is_odd = len(taken) > 1
        return row, taken

    def _handed_on(self) -> Iterator[str]:
        """Pass lines to the csv module, which asks for one at a time and for none too many."""
        while (line := self._next()) is not None:
            self._seen.append(line)
            yield line
