"""How a table of text is delimited and quoted: found out from its beginning.

Each way of reading is tried on the same lines; the one that gives every row as many fields as the
header has is the right one. Counting letters (as `csv.Sniffer` does) takes a comma that every
sentence has for a delimiter.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import msgspec

from batchd.core.records import Layout
from batchd.core.splitting import options

SAMPLE = 1 << 18  #: characters that are looked at: a row of scraped pages can take 64 kB by itself
_DELIMITERS = (",", ";", "\t", "|")
_COMPARED = 100  #: rows that are written again to see whether every field is quoted
_ENOUGH = 2  #: rows that must all differ from the header before it is taken for a single name
_PREAMBLE = re.compile(r"(?i)sep=(.)\r?\n")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class _Tried:
    """One way of reading, and what came of it."""

    delimiter: str
    quote: str
    escape: str
    width: int
    rows: int  #: complete ones below the header
    lines: int  #: of the header and these rows
    fitting: float  #: the part of the rows that has as many fields as the header
    is_strict: bool  #: whether no quote stood where none belongs
    is_trailing: bool  #: whether each row has a delimiter more than the header, at its very end

    @property
    def worth(self) -> tuple[float, bool, int]:
        return self.fitting, self.is_strict, self.width


def find_dialect(
    sample: str, *, is_whole: bool, tabs: bool = False, delimiter: str = "auto", quote: str = "auto"
) -> Layout:
    """Return how a table is written that begins so; what its columns are is yet to be read.

    `is_whole` says whether the sample is all there is: else its last row may be cut. `tabs`: it is
    a TSV by its name, in which commas are letters.
    """
    preamble = ""
    if found := _PREAMBLE.match(sample):
        preamble, sample = found[0], sample[found.end() :]
        delimiter = found[1] if delimiter == "auto" else delimiter
    lines = list(io.StringIO(sample, newline=""))
    delimiters = _delimiters(delimiter, tabs, lines)
    tried = [_try(lines, is_whole, *way) for way in product(delimiters, _quotings(quote, sample))]
    best = _best(tried)
    if _is_one_name(best) and delimiter == "auto" and not tabs:
        others = [one for one in _DELIMITERS if one not in lines[0]]
        alone = product(others, _quotings(quote, sample))
        best = _best([best, *(_try(lines, is_whole, *way) for way in alone)])
    if quote == "auto" and not best.quote:
        best = _as_meant(best, tried, lines if is_whole else lines[:-1], tabs)
    layout = Layout(
        format="tsv" if tabs else "csv",
        delimiter=best.delimiter,
        quote=best.quote,
        escape=best.escape,
        line_end=line_end(sample),
        preamble=preamble,
    )
    whole_rows = lines[: best.lines]
    return msgspec.structs.replace(layout, quotes_all=_quotes_all(whole_rows, layout))


def line_end(sample: str) -> str:
    """Return how the first line ends."""
    found = _LINE_END.search(sample)
    return found[0] if found else "\n"


def _delimiters(wanted: str, tabs: bool, lines: Sequence[str]) -> tuple[str, ...]:
    if wanted != "auto":
        return (wanted,)
    if tabs:
        return ("\t",)
    header = next((line for line in lines if line.strip()), "")
    # A list of sentences under one name: what is in none of them. Results need a delimiter, too.
    return tuple(one for one in _DELIMITERS if one in header) or _DELIMITERS


def _quotings(wanted: str, sample: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of quote and escape, the usual one first."""
    if wanted == "auto":
        quotes = ['"', "'"] if sample.startswith("'") else ['"']
    else:
        quotes = [wanted] if wanted else []
    for quote in quotes:
        yield quote, ""
        if "\\" + quote in sample:
            yield quote, "\\"
    if wanted == "auto" or not wanted:
        yield "", ""


def _try(lines: Sequence[str], is_whole: bool, delimiter: str, quoting: tuple[str, str]) -> _Tried:
    known = options(delimiter, *quoting)
    rows, ends, trails = list[int](), list[int](), list[bool]()
    reader = csv.reader(lines, **known)
    try:
        for row in reader:
            if row:
                rows.append(len(row))
                ends.append(reader.line_num)
                trails.append(not row[-1])
    except csv.Error:
        pass  # what could be read before tells as much as there is to tell
    if not is_whole and len(rows) > 1:
        rows.pop()
        ends.pop()
    width, below = (rows[0] if rows else 0), rows[1:]
    fitting = sum(one == width for one in below) / len(below) if below else 1.0
    strict = _is_strict(lines[: ends[-1]], known) if ends else True
    trailing = set(below) == {width + 1} and all(trails[1 : 1 + len(below)])
    end = ends[-1] if ends else 0
    return _Tried(delimiter, *quoting, width, len(below), end, fitting, strict, trailing)


def _is_strict(lines: Sequence[str], known: dict[str, object]) -> bool:
    try:
        for _ in csv.reader(lines, **known, strict=True):  # type: ignore[arg-type]
            pass
    except csv.Error:
        return False
    return True


def _best(tried: Sequence[_Tried]) -> _Tried:
    """Return the likeliest; of equals the first, for the usual ways come first."""
    return max(tried, key=lambda one: one.worth)


def _as_meant(best: _Tried, tried: Sequence[_Tried], lines: Sequence[str], tabs: bool) -> _Tried:
    """Return the reading with quotes where they were meant as such, and one does not close.

    Then none fits as well as that in which quotes are letters; but all these fields would keep them,
    and what is to be mended would be sent.
    """
    for one in tried:
        if one.delimiter == best.delimiter and one.quote and not one.escape:
            closed, opened = _quoted_fields(lines, one.delimiter, one.quote)
            # A single one is a slip; letters come more often. A TSV has none by its definition (IANA).
            if 0 < opened <= max(closed, 0 if tabs else 1):
                return one
    return best


def _quoted_fields(lines: Sequence[str], delimiter: str, quote: str) -> tuple[int, int]:
    """Count the fields that are within quotes, and those that only begin so and never end."""
    closed = opened = 0
    for line in lines:
        if quote not in line:
            continue
        for field in line.rstrip("\r\n").split(delimiter):
            begins, ends = field.startswith(quote), field.endswith(quote)
            if field.count(quote) % 2:
                opened += begins
                opened -= ends and not begins  # of a field with a delimiter or a line break in it
            elif begins and ends:
                closed += 1
    return closed, opened


def _is_one_name(best: _Tried) -> bool:
    """Whether the header only seemed to have several names: a sentence above a list of texts."""
    return best.rows >= _ENOUGH and best.fitting == 0 and not best.is_trailing


def _quotes_all(lines: Sequence[str], layout: Layout) -> bool:
    """Whether every field is quoted: then writing so what was read gives the same text."""
    if not layout.quote or not "".join(lines[:1]).startswith(layout.quote):
        return False
    known = options(layout.delimiter, layout.quote, layout.escape)
    read = csv.reader(lines, **known)
    again = io.StringIO(newline="")
    known["quoting"] = csv.QUOTE_ALL
    writer = csv.writer(again, **known, lineterminator=layout.line_end)
    for _, row in zip(range(_COMPARED), read, strict=False):
        writer.writerow(row)
    as_it_stands = "".join(lines[: read.line_num])
    return as_it_stands.rstrip("\r\n") == again.getvalue().rstrip("\r\n")
