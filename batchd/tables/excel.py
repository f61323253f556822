"""Excel: one sheet of a workbook, by calamine; results by XlsxWriter.

While a workbook is read its sheet is in memory, some 100 bytes a cell. Measured with a million cells
side by side: calamine 109 MB and 5 s on a busy machine (0.7 s on a quiet one), during which the loop
goes on; openpyxl streams, in 33 MB, takes ten times as long, and is Python that the loop waits for.

Values are kept, formulas as what they came to; colours and widths are not.
"""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from batchd.core.delimited import cell, column_names
from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record, empty_table
from batchd.tables.extras import library
from batchd.tables.opening import Pause, folder_of

_LONGEST = 32_767  #: characters of a cell; Excel's limit
_CUT = " … (cut: results.jsonl has all of it)"
_EXACT = 1 << 53  #: whole numbers beyond lose digits: a cell is a double
#: Bytes that a workbook may unpack to, whatever the setting says: all of it is in memory, and
#: takes twice as much there. A million rows of twenty cells are as many.
MOST_HELD = 1_000_000_000
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


def with_columns(layout: Layout, path: Path, *, most: int) -> Layout:
    """Return the layout with the columns that the first row of the sheet names. Raises `BadTable`.

    Empty rows above it are none.
    """
    row = next(_rows(path, layout.sheet, most), None)
    if row is None:
        raise empty_table()
    header = tuple(_text(value) for value in row[1])
    return msgspec.structs.replace(layout, header=header, columns=column_names(header))


def records_of(path: Path, layout: Layout, *, pause: Pause, most: int) -> Iterator[Record]:
    """Yield the rows below the header; dates and times are ISO text. Empty rows are none."""
    rows = _rows(path, layout.sheet, most)
    next(rows, None)
    for number, (line, raw) in enumerate(rows, start=1):
        pause()
        values = map(_plain, raw)
        yield Record(number, dict(zip(layout.columns, values, strict=True)), line, raw)


def _rows(path: Path, sheet: str | None, most: int) -> Iterator[tuple[int, list[Any]]]:
    calamine = library("python_calamine", kind="Excel")
    try:
        _must_not_explode(path, most)
        book = calamine.CalamineWorkbook.from_path(path)
        found = book.get_sheet_by_index(0) if sheet is None else _sheet(book, sheet)
        for line, row in enumerate(found.iter_rows(), start=1):
            if any(value != "" for value in row):
                yield line, row
    except (calamine.CalamineError, zipfile.BadZipFile) as error:
        raise BadTable(
            Problem(
                "not_excel",
                f"the file is no whole workbook ({error})",
                "Save it again as .xlsx, without a password.",
            )
        ) from error


def _sheet(book: Any, name: str) -> Any:
    if name not in book.sheet_names:
        there = ", ".join(f'"{printable(one)}"' for one in book.sheet_names)
        raise BadTable(
            Problem(
                "sheet_missing",
                f'the workbook has no sheet "{printable(name)}"; it has {there}',
                "Rename the sheet, or name another one in the task: [input] sheet.",
                param="input.sheet",
            )
        )
    return book.get_sheet_by_name(name)


def _must_not_explode(path: Path, most: int) -> None:
    """A workbook is a zip file: what it says it blows up to is what would be in memory."""
    with zipfile.ZipFile(path) as book:
        size = sum(one.file_size for one in book.infolist())
    if size > min(most, MOST_HELD):
        by_setting = "Drop it in smaller files. The limit is inbox.max_inflated_bytes."
        raise BadTable(
            Problem(
                "inflates_too_far",
                f"unpacked the workbook has {size:,} bytes, more than {min(most, MOST_HELD):,}",
                by_setting if size > most else "Save it as CSV, which is read in pieces.",
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
