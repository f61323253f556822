"""Writes results, and what is to be dropped again, as the table they belong to was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from batchd.core.delimited import Rows
from batchd.core.objects import Array, Lines
from batchd.core.records import Layout, Record
from batchd.core.texts import Texts
from batchd.tables.excel import ExcelTable
from batchd.tables.opening import BOMS
from batchd.tables.parquet import ParquetTable


class _Table(Protocol):
    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Add one record."""

    def close(self) -> None:
        """Write what is not yet written."""


class ResultTable:
    """The sender's table, with columns added at its end; with none, what is to be tried again.

    CSV and TSV keep dialect, encoding and mark. Where the encoding lacks letters that an answer may
    hold (cp1252 and its like), results are UTF-8 with a mark instead (`Layout.is_recoded`); a table
    without added columns keeps it, for nothing is in it but the sender's own letters.

    Objects stay byte for byte as they were (as UTF-8), and get `values` as members, whatever is in
    `added`: each object may have names of its own. Plain text has no place for either.
    """

    def __init__(self, target: Path | BinaryIO, layout: Layout, added: Sequence[str]) -> None:
        self._is_ours = isinstance(target, Path)
        self._file: BinaryIO = target.open("wb") if isinstance(target, Path) else target
        self._table = _table(self._file, layout, added)

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Add one record, with the values of the added columns; what has none is empty."""
        self._table.write(record, values)

    def close(self) -> None:
        """Write what is not yet written. A file that was handed in stays open."""
        self._table.close()
        if self._is_ours:
            self._file.close()


def _table(file: BinaryIO, layout: Layout, added: Sequence[str]) -> _Table:
    match layout.format:
        case "json":
            return Array(file)
        case "jsonl":
            return Lines(file)
        case "parquet":
            return ParquetTable(file, layout, added)
        case "excel":
            return ExcelTable(file, layout, added)
        case _:
            return _Text(file, layout, added)


class _Text:
    """A table of text, in its encoding."""

    def __init__(self, file: BinaryIO, layout: Layout, added: Sequence[str]) -> None:
        encoding, bom = layout.encoding, layout.bom
        if added:
            encoding, bom = layout.result_encoding, layout.result_bom
        if bom:
            file.write(BOMS[encoding])
        sink = _Encoded(file, encoding)
        self._rows = Texts(sink) if layout.format == "text" else Rows(sink, layout, added)

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        self._rows.write(record, values)

    def close(self) -> None:
        """All is written."""


class _Encoded:
    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding

    def write(self, piece: str | bytes) -> None:
        """Write letters, or what is encoded already."""
        # Half of a surrogate pair is no letter: an answer that has one still comes back.
        self._file.write(
            piece.encode(self._encoding, "replace") if isinstance(piece, str) else piece
        )
