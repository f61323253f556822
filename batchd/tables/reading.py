"""Finds out what a table is, and reads its records."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchd.core import delimited, objects, texts
from batchd.core.dialects import SAMPLE, find_dialect, line_end
from batchd.core.inflated import NO_LIMIT
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Kind, Layout, Record, empty_table, kind_of
from batchd.core.tasks import TaskInput
from batchd.tables import excel, parquet
from batchd.tables.encodings import find_encoding, first_bad
from batchd.tables.opening import Pause, letters, opened, utf8

#: Stands for what can't be decoded, while its row is looked for: letters that are none (Unicode 23.7).
_MARK = "\ufdd0\ufdd1\ufdd2"


def find_layout(
    path: Path, spec: TaskInput, *, name: str, pause: Pause, most: int = NO_LIMIT
) -> Layout:
    """Return how a table is written. Raises `BadTable`.

    `name` is what it was dropped as, which tells its kind where the task does not; whether it is
    packed, `path` tells. No more than `most` bytes of a packed one are read.
    """
    kind = _kind(spec, name)
    if kind == "parquet":
        return Layout(format=kind, columns=parquet.columns_of(path))
    if kind == "excel":
        layout = Layout(format=kind, sheet=spec.sheet)
        return excel.with_columns(layout, path, pause=pause, most=most)
    encoding = find_encoding(path, spec.encoding, pause=pause, most=most)
    layout = Layout(
        format=kind, encoding=encoding.name, bom=encoding.bom, is_guessed=encoding.is_guessed
    )
    match kind:
        case "json":
            return _find_json(path, spec, layout, pause, most)
        case "text":
            return _find_text(path, spec, layout, pause, most)
        case "csv" | "tsv":
            return _find_delimited(path, spec, layout, pause, most)
        case _:
            return layout


def records_of(
    path: Path, layout: Layout, *, pause: Pause, most: int = NO_LIMIT
) -> Iterator[Record]:
    """Yield the records in order. Raises `BadTable` at the first that can't be read."""
    try:
        record = None
        for record in _records(path, layout, pause, most, errors="strict"):
            yield record
    except UnicodeDecodeError as error:
        raise _undecodable(path, layout, pause, most) from error
    if record is None:
        raise empty_table()


def _kind(spec: TaskInput, name: str) -> Kind:
    kind = kind_of(name) if spec.format == "auto" else spec.format
    if kind is None:
        raise BadTable(
            Problem(
                "unknown_table",
                "its name does not say what kind of table it is",
                "Give it the name of one, such as .csv, .tsv, .json, .jsonl, .txt, .parquet or"
                " .xlsx, or have the task say [input] format.",
            )
        )
    return kind


def _find_delimited(path: Path, spec: TaskInput, layout: Layout, pause: Pause, most: int) -> Layout:
    with opened(path, pause=pause, most=most) as file:
        text = letters(file, layout, errors="replace")
        sample = text.read(SAMPLE)
        dialect = find_dialect(
            sample,
            is_whole=not text.read(1),
            tabs=layout.format == "tsv",
            delimiter=spec.delimiter,
            quote=spec.quote,
        )
    layout = msgspec.structs.replace(
        dialect, encoding=layout.encoding, bom=layout.bom, is_guessed=layout.is_guessed
    )
    with opened(path, pause=pause, most=most) as file:
        return delimited.with_columns(layout, letters(file, layout, errors="replace"))


def _find_json(path: Path, spec: TaskInput, layout: Layout, pause: Pause, most: int) -> Layout:
    """Return that of objects in lines where these lie in a .json, as they often do."""
    with opened(path, pause=pause, most=most) as file:
        start = utf8(file, layout, errors="replace").read(SAMPLE)
    is_lines = spec.format == "auto" and objects.looks_like_lines(start)
    return msgspec.structs.replace(layout, format="jsonl") if is_lines else layout


def _find_text(path: Path, spec: TaskInput, layout: Layout, pause: Pause, most: int) -> Layout:
    with opened(path, pause=pause, most=most) as file:
        end = line_end(letters(file, layout, errors="replace").read(SAMPLE))
    return msgspec.structs.replace(layout, columns=(spec.column,), record=spec.record, line_end=end)


def _records(
    path: Path, layout: Layout, pause: Pause, most: int, *, errors: str
) -> Iterator[Record]:
    if layout.format == "parquet":
        yield from parquet.records_of(path, layout, pause=pause)
    elif layout.format == "excel":
        yield from excel.records_of(path, layout, pause=pause, most=most)
    else:
        with opened(path, pause=pause, most=most) as file:
            yield from _of_text(file, layout, errors)


def _of_text(file: BinaryIO, layout: Layout, errors: str) -> Iterator[Record]:
    match layout.format:
        case "json":
            return objects.records_of_array(utf8(file, layout, errors=errors))
        case "jsonl":
            return objects.records_of_lines(utf8(file, layout, errors=errors))
        case "text":
            return texts.records_of(letters(file, layout, errors=errors), layout)
        case _:
            # Where lines end with \r alone, the whole file would be one of them.
            newline = "" if layout.line_end == "\r" else "\n"
            text = letters(file, layout, errors=errors, newline=newline)
            return delimited.records_of(text, layout)


def _undecodable(path: Path, layout: Layout, pause: Pause, most: int) -> BadTable:
    """Say in which row the first byte stands that is no letter: read again, with a mark there."""
    with opened(path, pause=pause, most=most) as file:
        letters(file, layout).detach()  # beyond the mark
        bad = first_bad(file, layout.encoding)
    records = _records(path, layout, pause, most, errors=_with_mark())
    marked = (r for r in records if any(_MARK in str(v) for v in r.fields.values()))
    found = next(marked, None)
    where = f" (the row begins on line {found.line})" if found and found.line else ""
    return BadTable(
        Problem(
            "not_decodable",
            f"byte {bad.offset if bad else 0:,} of the file is no letter in"
            f" {layout.encoding}{where}",
            "Save the table as UTF-8, or have the task name its encoding: [input] encoding.",
            line=found.line if found else None,
            row=found.row if found else None,
        )
    )


def _with_mark() -> str:
    codecs.register_error("batchd-mark", _mark)
    return "batchd-mark"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _MARK, error.end
