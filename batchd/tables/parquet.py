"""Parquet, by pyarrow: a batch of rows at a time is in memory, and every type is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from batchd.core.delimited import cell, column_names
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record
from batchd.tables.extras import library
from batchd.tables.opening import Pause, folder_of

_ROWS = 1024  #: at a time: of vectors of 3,072 numbers they are 100 MB as Python has them
_PACKED = "zstd"


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the columns. Raises `BadTable`."""
    with _opened(path) as file:
        return column_names(file.schema_arrow.names)


def records_of(path: Path, layout: Layout, *, pause: Pause) -> Iterator[Record]:
    """Yield the rows; values are as JSON has them: dates are ISO text, decimals their digits."""
    row = 0
    with _opened(path) as file:
        batches = file.iter_batches(batch_size=_ROWS)
        while (batch := _next(batches, row)) is not None:
            pause()
            names = layout.columns
            columns = [_plain(column) for column in batch.columns]
            for at, values in enumerate(zip(*columns, strict=True)):
                row += 1
                yield Record(row, dict(zip(names, values, strict=True)), None, (batch, at))


def _opened(path: Path) -> Any:
    arrow = library("pyarrow", kind="Parquet")
    parquet = library("pyarrow.parquet", kind="Parquet")
    try:
        return parquet.ParquetFile(path)
    except arrow.ArrowException as error:
        raise BadTable(
            Problem(
                "not_parquet",
                f"the file is no whole Parquet file ({_first(error)})",
                "Write or copy it again.",
            )
        ) from error


def _next(batches: Iterator[Any], row: int) -> Any:
    arrow = library("pyarrow", kind="Parquet")
    try:
        return next(batches, None)
    except (arrow.ArrowException, OSError) as error:
        raise BadTable(
            Problem(
                "parquet_damaged",
                f"nothing can be read behind row {row:,} ({_first(error)})",
                "Write or copy it again.",
                row=row + 1,
            )
        ) from error


def _first(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return msgspec.to_builtins(values)  # type: ignore[no-any-return]


class ParquetTable:
    """Writes rows with columns added.

    What type an added column has is only known with its last value: pieces are kept in a file of
    their own, each with its types, and become one table at the end.
    """

    def __init__(self, file: BinaryIO, layout: Layout, added: Sequence[str]) -> None:
        self._arrow = library("pyarrow", kind="Parquet")
        self._file = file
        self._columns = layout.columns
        self._added = tuple(added)
        self._kept = tempfile.TemporaryFile(dir=folder_of(file))  # noqa: SIM115  # closed by close
        self._schemas: list[Any] = []
        self._rows: list[tuple[Any, int]] = []
        self._values: list[Mapping[str, Any]] = []

    def write(self, record: Record, values: Mapping[str, Any]) -> None:
        """Add one row."""
        self._rows.append(record.raw)
        self._values.append(values)
        if len(self._rows) >= _ROWS:
            self._keep()

    def close(self) -> None:
        """Write the table."""
        with self._kept:
            if self._rows:
                self._keep()
            self._kept.seek(0)
            self._finish()

    def _keep(self) -> None:
        arrow = self._arrow
        groups = groupby(self._rows, key=lambda raw: id(raw[0]))
        taken = [_taken([*rows]) for _, rows in groups]
        table = arrow.Table.from_batches(taken)
        for name in self._added:
            table = table.append_column(name, self._array([one.get(name) for one in self._values]))
        with arrow.ipc.new_stream(self._kept, table.schema) as stream:
            stream.write_table(table)
        self._schemas.append(table.schema)
        self._rows, self._values = [], []

    def _array(self, values: list[Any]) -> Any:
        """Return numbers, texts and lists of them as what they are; anything else as JSON text."""
        if not any(map(_is_nested, values)):
            try:
                return self._arrow.array(values)
            except (self._arrow.ArrowException, TypeError, OverflowError):
                pass  # texts and numbers, mixed
        return self._text(values)

    def _text(self, values: Sequence[Any]) -> Any:
        texts = [None if value is None else cell(value) for value in values]
        return self._arrow.array(texts, type=self._arrow.string())

    def _finish(self) -> None:
        parquet = library("pyarrow.parquet", kind="Parquet")
        schema = self._schema()
        with parquet.ParquetWriter(self._file, schema, compression=_PACKED) as writer:
            for _ in self._schemas:
                with self._arrow.ipc.open_stream(self._kept) as stream:
                    writer.write_table(self._as(stream.read_all(), schema))

    def _schema(self) -> Any:
        """Return the sender's schema with the types that the added columns turned out to have."""
        arrow = self._arrow
        if not self._schemas:
            names = (*self._columns, *self._added)
            return arrow.schema([(name, arrow.string()) for name in names])
        schema = self._schemas[0]
        first = len(schema) - len(self._added)
        for at, name in enumerate(self._added, start=first):
            kinds = {one.field(at).type for one in self._schemas}
            schema = schema.set(at, arrow.field(name, self._common(kinds)))
        return schema

    def _common(self, kinds: set[Any]) -> Any:
        arrow = self._arrow
        fields = [arrow.schema([("", kind)]) for kind in kinds]
        try:
            kind = arrow.unify_schemas(fields, promote_options="permissive").field(0).type
        except arrow.ArrowException:
            return arrow.string()
        return arrow.string() if arrow.types.is_null(kind) else kind

    def _as(self, table: Any, schema: Any) -> Any:
        first = len(schema) - len(self._added)
        for at in range(first, len(schema)):
            field, column = schema.field(at), table.column(at)
            if column.type != field.type:
                is_text = self._arrow.types.is_string(field.type)
                column = self._text(column.to_pylist()) if is_text else column.cast(field.type)
                table = table.set_column(at, field, column)
        return table.cast(schema) if table.schema != schema else table


def _taken(rows: Sequence[tuple[Any, int]]) -> Any:
    return rows[0][0].take([at for _, at in rows])


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(one, dict | list) for one in value)
    )
