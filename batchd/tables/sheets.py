"""One sheet of a workbook, a row at a time: numbers, texts, and moments where a format says so."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from batchd.tables.extras import library
from batchd.tables.opening import Pause
from batchd.tables.parts import DAMAGE, BadPart, Part, unescaped

MOST_COLUMNS = 16_384  #: XFD, Excel's last; LibreOffice's, too
_DIGITS = "0123456789"
_FALSE = ("0", "false", "")


class Strings(Protocol):
    """The texts that cells only name: those of a workbook, or none."""

    def __getitem__(self, number: int) -> str:
        """Return one."""


@dataclass(frozen=True, slots=True)
class Formats:
    """What the numbers of some formats are: days since a moment."""

    moments: frozenset[str] = frozenset()  #: numbers of formats, as cells have them
    durations: frozenset[str] = frozenset()
    is_1904: bool = False  #: whether days are counted as the first Macs did


class Sheet(Part):
    """The rows of one sheet."""

    def __init__(
        self, stream: BinaryIO, *, strings: Strings, formats: Formats, pause: Pause
    ) -> None:
        super().__init__(stream, pause)
        #: The first column that is used and how many come before its last one's end, from 0, as the
        #: sheet says itself; None where it does not.
        self.area: tuple[int, int] | None = None
        self.line = 0  #: the row that was read last, 1-based
        self._strings = strings
        self._formats = formats
        self._dates = library("openpyxl.utils.datetime", kind="Excel")
        self._columns = dict[str, int]()
        self._rows = list[tuple[int, list[Any]]]()
        self._cells = list[Any]()
        self._column = 0  #: of the next cell, unless that says otherwise
        self._kind: str | None = None
        self._style: str | None = None
        self._is_over = False

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the rows that have anything in them: each one's number, and its cells to the last.

        Empty cells, and those with an error, are "". Raises `BadPart`.
        """
        while not self._is_over:
            try:
                self._is_over = not self.read_on() or self._is_over
            except (BadPart, *DAMAGE):
                yield from self._rows  # so that whoever reads them knows which row is bad
                raise
            yield from self._rows
            self._rows.clear()

    def named(self, prefix: str) -> None:
        self._c, self._v, self._t = prefix + "c", prefix + "v", prefix + "t"
        self._row, self._ph = prefix + "row", prefix + "rPh"
        self._dimension, self._data = prefix + "dimension", prefix + "sheetData"

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._c:
            self._begin_cell(attributes)
        elif name == self._v:
            self._letters.clear()
        elif name == self._t:
            self.begin_text(attributes)
        elif name == self._row:
            self._begin_row(attributes.get("r"))
        elif name == self._ph:
            self._is_spoken = True
        elif name == self._dimension:
            self.area = self._area_of(attributes.get("ref", ""))

    def end(self, name: str) -> None:
        if name == self._v:
            self._text = "".join(self._letters)
        elif name == self._c:
            self._end_cell()
        elif name == self._row:
            if self._cells:
                self._rows.append((self.line, self._cells))
        elif name == self._t:
            self.end_text()
        elif name == self._ph:
            self._is_spoken = False
        elif name == self._data:
            self._is_over = True  # links and rules for cells follow; they may be as many again

    def _begin_row(self, number: str | None) -> None:
        try:
            self.line = self.line + 1 if number is None else int(number)
        except ValueError as error:
            raise BadPart(f'a row calls itself "{number[:20]}"' if number else "") from error
        self._letters.clear()
        self._cells, self._column = [], 0

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        self._kind, self._style = attributes.get("t"), attributes.get("s")
        self._text = ""
        if place := attributes.get("r"):
            self._column = self._column_of(place)

    def _end_cell(self) -> None:
        value = self._value(self._text) if self._text else ""
        self._text = ""
        at, cells = self._column, self._cells
        self._column += 1
        if value == "":
            return
        if at >= MOST_COLUMNS:
            raise BadPart(f"it has more than {MOST_COLUMNS:,} columns")
        if at >= len(cells):
            cells.extend([""] * (at + 1 - len(cells)))
        cells[at] = value

    def _column_of(self, place: str) -> int:
        """Return which column "AB12" is in, from 0."""
        letters = place.rstrip(_DIGITS)
        at = self._columns.get(letters)
        if at is None:
            at = self._columns[letters] = _number_of(letters) - 1
        return at

    def _area_of(self, area: str) -> tuple[int, int] | None:
        """Return (1, 10) for "B1:J400"; None for a single cell, which is what many write who do not
        know."""
        first, colon, last = area.partition(":")
        if not colon or first == last:
            return None
        try:
            return self._column_of(first), self._column_of(last) + 1
        except BadPart:
            return None

    def _value(self, text: str) -> Any:
        match self._kind:
            case "s":
                return self._strings[_whole(text)]
            case None | "n":
                return self._number(text)
            case "str" | "inlineStr":
                return unescaped(text)
            case "b":
                return text not in _FALSE
            case "d":
                return _as_iso(text)
            case "e":
                return ""  # as in a CSV that Excel writes, more is known of it nowhere
            case kind:
                raise BadPart(f'a cell is of the kind "{kind[:20]}", which there is not')

    def _number(self, text: str) -> Any:
        try:
            number = float(text)
        except ValueError:
            return unescaped(text)
        if not math.isfinite(number):
            return text  # "NaN": some programs write it, and JSON has no such number
        formats = self._formats
        is_duration = self._style in formats.durations
        if is_duration or self._style in formats.moments:
            return self._moment(number, is_duration)
        return number

    def _moment(self, days: float, is_duration: bool) -> Any:
        dates = self._dates
        epoch = dates.MAC_EPOCH if self._formats.is_1904 else dates.WINDOWS_EPOCH
        if days < 0 and not is_duration:
            return days  # Excel shows nothing but hashes
        try:
            value = dates.from_excel(days, epoch, timedelta=is_duration)
        except (OverflowError, ValueError):
            return days
        if not isinstance(value, datetime.datetime) or value.time() != datetime.time():
            return value
        return value.date() if days >= 1 else value.time()  # of a second that rounds to midnight


def _number_of(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z" or number > MOST_COLUMNS:
            raise BadPart(f'a cell lies in column "{letters[:20]}", which there is not')
        number = number * 26 + ord(letter) - ord("A") + 1
    if not number:
        raise BadPart("a cell does not say in which column it lies")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BadPart(f'a cell has text "{text[:20]}", which is no number of one') from error


def _as_iso(text: str) -> Any:
    """Return a moment that is written as one; others than Excel's own programs do so."""
    for kind in (datetime.date, datetime.datetime, datetime.time):
        try:
            found = kind.fromisoformat(text)
        except ValueError:
            continue
        # Excel has no zones: with one it stays the text that it is.
        return text if getattr(found, "tzinfo", None) else found
    return text


def formats_of(styles: Mapping[int, str], cells: list[int], *, is_1904: bool = False) -> Formats:
    """Return which formats of cells are of moments: `styles` by number, and the cells' own."""
    numbers = library("openpyxl.styles.numbers", kind="Excel")
    moments, durations = set[str](), set[str]()
    for at, number in enumerate(cells):
        code = styles.get(number, numbers.BUILTIN_FORMATS.get(number))
        if numbers.is_timedelta_format(code):
            durations.add(str(at))
        elif numbers.is_date_format(code) or (code is None and number in _DAYS_ELSEWHERE):
            moments.add(str(at))
    return Formats(frozenset(moments), frozenset(durations), is_1904)


#: Numbers that mean days in the Excels of East Asia and Thailand, written nowhere (ECMA-376, 18.8.30).
_DAYS_ELSEWHERE = frozenset((*range(27, 37), *range(50, 59), *range(71, 82)))
