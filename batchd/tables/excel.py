"""Excel: one sheet of a workbook, a row at a time; results by XlsxWriter.

Memory is that of some thousand rows, however large a sheet is (`parts.py`, `shared.py`). Measured with
400,000 rows of ten texts, most unlike each other: 36 MB and 17 s of a processor, as with 20,000 rows
35 MB; calamine holds the sheet, 550 MB in 4 s, and openpyxl all texts, 690 MB in 40 s.

Values are kept, formulas as what they came to; colours and widths are not.
"""

from __future__ import annotations

import datetime
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from batchd.core.delimited import cell, column_names
from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record, empty_table
from batchd.tables.extras import library
from batchd.tables.opening import Pause, folder_of
from batchd.tables.parts import BadPart
from batchd.tables.sheets import Sheet
from batchd.tables.workbooks import SheetName, Workbook

_LONGEST = 32_767  #: characters of a cell; Excel's limit
_CUT = " … (cut: results.jsonl has all of it)"
_EXACT = 1 << 53  #: whole numbers beyond lose digits: a cell is a double
_FORMATS: dict[type, str] = {
    datetime.datetime: "yyyy-mm-dd hh:mm:ss",
    datetime.date: "yyyy-mm-dd",
    datetime.time: "hh:mm:ss",
    datetime.timedelta: "[h]:mm:ss",
}
#: A text that begins with = stays one: an answer is no formula, least of all a stranger's.
_AS_THEY_ARE = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}


def with_columns(layout: Layout, path: Path, *, pause: Pause, most: int) -> Layout:
    """Return the layout with the columns that the first row of the sheet names. Raises `BadTable`.

    Empty rows above it are none. A column without a name counts where any row has something in it.
    """
    with closing(_rows(path, layout.sheet, pause, most)) as rows:
        first = next(rows, None)
        if first is None:
            raise empty_table()
        sheet, _, cells = first
        begin, end = _begin(cells), len(cells)
        # Most programs say which columns a sheet uses. Where these are not the header's, notes may
        # lie beside the table, or the program did not know: then all rows are looked at.
        if sheet.area is None or sheet.area[1] != end or (begin and sheet.area[0] != begin):
            for _, _, row in rows:
                begin, end = min(begin, _begin(row)), max(end, len(row))
    header = tuple(map(_text, _between(cells, begin, end)))
    return msgspec.structs.replace(
        layout, header=header, columns=column_names(header), skipped=begin
    )


def records_of(path: Path, layout: Layout, *, pause: Pause, most: int) -> Iterator[Record]:
    """Yield the rows below the header; dates and times are ISO text. Empty rows are none."""
    columns, begin = layout.columns, layout.skipped
    end = begin + len(columns)
    with closing(_rows(path, layout.sheet, pause, most)) as rows:
        next(rows, None)
        for number, (_, line, cells) in enumerate(rows, start=1):
            if len(cells) > end or (begin and _begin(cells) < begin):
                raise _outside(number, line, cells, layout)
            raw = _between(cells, begin, end)
            yield Record(number, dict(zip(columns, map(_plain, raw), strict=True)), line, raw)


def _rows(
    path: Path, name: str | None, pause: Pause, most: int
) -> Generator[tuple[Sheet, int, list[Any]]]:
    """Yield the rows that have anything in them, each with the sheet and its line there."""
    line, row = 0, -1  # the header is none
    try:
        with closing(Workbook(path)) as book:
            _must_not_explode(book, most)
            with book.opened(_sheet(book, name), pause=pause) as sheet:
                for line, cells in sheet.rows():
                    row += 1
                    yield sheet, line, cells
    except BadPart as bad:
        raise _damaged(str(bad), row, line) from bad


def _begin(cells: Sequence[Any]) -> int:
    """Return which cell is the first with anything in it, from 0."""
    return next(at for at, value in enumerate(cells) if value != "")


def _between(cells: Sequence[Any], begin: int, end: int) -> list[Any]:
    return [*cells[begin:end], *[""] * (end - max(len(cells), begin))]


def _damaged(what: str, row: int, line: int) -> BadTable:
    """Say that it can't be read, or not beyond a row."""
    if not line:
        remedy = "Save it again as .xlsx, without a password."
        return BadTable(Problem("not_excel", f"the file is no whole workbook ({what})", remedy))
    return BadTable(
        Problem(
            "excel_damaged",
            f"nothing can be read behind line {line:,} of the sheet ({what})",
            "Save it again as .xlsx, or copy it again.",
            row=row + 1,
        )
    )


def _outside(row: int, line: int, cells: Sequence[Any], layout: Layout) -> BadTable:
    """What the sheet said of its columns is not so: it would come back without this cell."""
    beyond = (
        cells[-1] if len(cells) > layout.skipped + len(layout.columns) else cells[_begin(cells)]
    )
    shown = printable(_text(beyond)[:60])
    return BadTable(
        Problem(
            "wrong_width",
            f'"{shown}" on line {line:,} of the sheet lies outside of the columns that the sheet'
            " says it has",
            "Save the workbook again with Excel or LibreOffice, or name the column in the header.",
            row=row,
        )
    )


def _sheet(book: Workbook, name: str | None) -> SheetName:
    """Return the sheet of a name; without one the first that a person sees."""
    if name is not None:
        return _named(book, name)
    if not book.sheets:
        raise BadPart("it has no sheet with cells")
    return next((one for one in book.sheets if not one.is_hidden), book.sheets[0])


def _named(book: Workbook, name: str) -> SheetName:
    found = next((one for one in book.sheets if one.name == name), None)
    if found is None:
        there = ", ".join(f'"{printable(one.name)}"' for one in book.sheets)
        raise BadTable(
            Problem(
                "sheet_missing",
                f'the workbook has no sheet "{printable(name)}"; it has {there}',
                "Rename the sheet, or name another one in the task: [input] sheet.",
                param="input.sheet",
            )
        )
    return found


def _must_not_explode(book: Workbook, most: int) -> None:
    """A workbook is a zip file: a small one can keep a reader busy for days."""
    if book.inflated > most:
        raise BadTable(
            Problem(
                "inflates_too_far",
                f"unpacked the workbook has {book.inflated:,} bytes, more than {most:,}",
                "Drop it in smaller files. The limit is inbox.max_inflated_bytes.",
            )
        )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it. Excel knows no whole numbers: 3.0 is somebody's 3."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, datetime.timedelta) else value


def _text(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else cell(plain)


class ExcelTable:
    """Writes a workbook of one sheet, a row at a time."""

    def __init__(self, file: BinaryIO, layout: Layout, added: Sequence[str]) -> None:
        writer = library("xlsxwriter", kind="Excel")
        # Beside the results: there is room for them, or nowhere.
        self._book = writer.Workbook(file, {**_AS_THEY_ARE, "tmpdir": folder_of(file)})
        self._sheet = _sheet_for(layout.sheet, self._book)
        self._formats = {
            kind: self._book.add_format({"num_format": text}) for kind, text in _FORMATS.items()
        }
        self._added = tuple(added)
        self._row = 0
        self._write_row([*layout.header, *added])

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write one row, its cells as they were."""
        self._write_row([*record.raw, *(values.get(name) for name in self._added)])

    def close(self) -> None:
        """Write the workbook."""
        self._book.close()

    def _write_row(self, values: Sequence[Any]) -> None:
        for at, value in enumerate(values):
            self._write(at, value)
        self._row += 1

    def _write(self, at: int, value: Any) -> None:
        form = self._formats.get(type(value))
        if form is not None:
            self._sheet.write_datetime(self._row, at, value, form)
        elif isinstance(value, bool):
            self._sheet.write_boolean(self._row, at, value)
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= _EXACT):
            self._sheet.write_number(self._row, at, value)
        elif text := cell(value):
            self._sheet.write_string(self._row, at, _fitting(text))


def _sheet_for(name: str | None, book: Any) -> Any:
    """Add a sheet, called as the sender's. Other programs write names that Excel has no place for."""
    exceptions = library("xlsxwriter.exceptions", kind="Excel")
    try:
        return book.add_worksheet(name)
    except exceptions.InvalidWorksheetName:
        return book.add_worksheet("Sheet1")


def _fitting(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - len(_CUT)] + _CUT
