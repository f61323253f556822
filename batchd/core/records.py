"""Records: the rows of a dropped table, how the table is laid out, and what is wrong with it.

What reads and writes tables is `batchd/tables/`; the parts of it that touch no file lie here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from batchd.core.errors import InputError
from batchd.core.problems import Problem

Kind: TypeAlias = Literal["csv", "tsv", "json", "jsonl", "text", "parquet", "excel"]

PACKED = ".gz"

#: What a table is, by the end of its name.
_KINDS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".md": "text",
    ".parquet": "parquet",
    ".xlsx": "excel",
    ".xlsm": "excel",  # the same with programs in it, which are not read
}
_HAVE_PACKING: frozenset[Kind] = frozenset({"parquet", "excel"})  #: they are compressed inside
_ENDINGS: dict[Kind, str] = {"text": ".txt", "excel": ".xlsx"}
_UNICODE = ("utf-8", "utf-16", "utf-32")  #: how the encodings begin that can hold any letter


class BadTable(InputError):
    """A table that can't be read on; the sender must act.

    `problem.row` is the record's number, from 1 and without the header, and `problem.line` where it
    begins in the file; None where the table as a whole is meant.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Sink(Protocol):
    """What a table is written to: letters, or bytes of what they are encoded as."""

    def write(self, piece: Any, /) -> object:
        """Take a text, or bytes."""


class Record(msgspec.Struct, frozen=True):
    """One row of a table, or one object of a file of objects."""

    row: int  #: 1-based; header and blank lines are not counted
    #: by column: text (CSV, TSV, plain text), or whatever JSON knows (the others)
    fields: Mapping[str, Any]
    line: int | None = None  #: where it begins in the file, 1-based; None where there are no lines
    raw: Any = None  #: what the writer of the same kind needs to give the row back unchanged
    #: its first byte in the file, and how many there are without the line break; of some tables
    #: alone (`delimited.is_noted`)
    place: tuple[int, int] = (0, 0)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is written, so that what comes back is written likewise."""

    format: Kind
    columns: tuple[str, ...] = ()  #: the names of the fields; () for JSON and JSON Lines
    header: tuple[str, ...] = ()  #: of CSV, TSV: the first row as it stands, empty names and all
    encoding: str = "utf-8"  #: Python's name of it; never one that looks for a mark by itself
    bom: bool = False  #: whether a byte order mark comes first
    is_guessed: bool = False  #: whether nothing but the letters themselves told the encoding
    delimiter: str = ","
    quote: str = '"'  #: "" where quotes are letters like others
    escape: str = ""  #: what stands before a quote in a quoted field; "": quotes are doubled
    quotes_all: bool = False  #: whether every field is quoted
    line_end: str = "\n"
    preamble: str = ""  #: a line before the header: "sep=;", which Excel understands
    record: Literal["line", "file"] = "line"  #: of plain text: what one record is
    sheet: str | None = None  #: of a workbook
    skipped: int = 0  #: of a sheet: empty columns before the table

    @property
    def is_recoded(self) -> bool:
        """Whether results have another encoding: an answer may hold letters that this one lacks."""
        return not self.encoding.startswith(_UNICODE)

    @property
    def result_encoding(self) -> str:
        """How results are encoded: as the table is, or as UTF-8 where `is_recoded`."""
        return "utf-8" if self.is_recoded else self.encoding

    @property
    def result_bom(self) -> bool:
        """Whether results begin with a mark: as the table does; recoded, so that Excel sees it."""
        return self.bom or self.is_recoded


def kind_of(name: str) -> Kind | None:
    """Return what a file holds, by its name; None for a name that no table has."""
    plain = name.lower().removesuffix(PACKED)
    kind = next((kind for end, kind in _KINDS.items() if plain.endswith(end)), None)
    is_packed = plain != name.lower()
    return None if is_packed and kind in _HAVE_PACKING else kind


def is_packed_name(name: str) -> bool:
    """Whether a file is compressed, by its name."""
    return name.lower().endswith(PACKED)


def is_table_name(name: str) -> bool:
    """Whether a file in a task's folder is called as a table is."""
    return kind_of(name) is not None


def result_name(layout: Layout) -> str | None:
    """Return what the table of results is called; None for plain text, which has no columns.

    JSON Lines are called otherwise: results.jsonl keeps its own form, whatever was dropped.
    """
    if layout.format == "text":
        return None
    return "records.jsonl" if layout.format == "jsonl" else "results" + _ending(layout.format)


def retry_name(layout: Layout) -> str:
    """Return what the table of failed records is called: as they were, ready to drop again."""
    return "retry" + _ending(layout.format)


def _ending(kind: Kind) -> str:
    return _ENDINGS.get(kind, f".{kind}")


def empty_table() -> BadTable:
    """Say that there is no record in it."""
    return BadTable(
        Problem(
            "empty_file",
            "the file has no record in it",
            "Put at least one record into it, below the header where it has one, and drop it"
            " again.",
        )
    )
