"""Writes results, and what is to be dropped again, as the table they belong to was written."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from batchd.core.delimited import Rows
from batchd.core.records import Layout, Record
from batchd.tables.opening import BOMS


class ResultTable:
    """The sender's table, with columns added at its end; with none, what is to be tried again.

    CSV and TSV keep dialect, encoding and mark. Where the encoding lacks letters that an answer may
    hold (cp1252 and its like), results are UTF-8 with a mark instead (`Layout.is_recoded`); a table
    without added columns keeps it, for nothing is in it but the sender's own letters.
    """

    def __init__(self, target: Path | BinaryIO, layout: Layout, added: Sequence[str]) -> None:
        self._is_ours = isinstance(target, Path)
        self._file: BinaryIO = target.open("wb") if isinstance(target, Path) else target
        encoding, bom = layout.encoding, layout.bom
        if added:
            encoding, bom = layout.result_encoding, layout.result_bom
        if bom:
            self._file.write(BOMS[encoding])
        # Half of a surrogate pair is no letter: an answer that has one still comes back.
        self._text = io.TextIOWrapper(self._file, encoding=encoding, errors="replace", newline="")
        self._rows = Rows(self._text, layout, added)

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Add one record, with the values of the added columns; what has none is empty."""
        self._rows.write(record, values)

    def close(self) -> None:
        """Write what is not yet written. A file that was handed in stays open."""
        self._text.flush()
        self._text.detach()
        if self._is_ours:
            self._file.close()
