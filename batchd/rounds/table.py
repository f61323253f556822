"""A dropped table as its task reads it: records in order, so many at a time, and each with its id."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from batchd.core.delimited import is_noted
from batchd.core.inflated import NO_LIMIT
from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable, Record, is_packed_name
from batchd.core.rows import RowSet
from batchd.core.tasks import Task
from batchd.core.templates import BadRecord, as_json
from batchd.spool.work import Pause
from batchd.tables import find_layout, records_of

_SHOWN = 80  #: characters of an id in a sentence


class Table:
    """The records of one file. Reading raises `BadTable` at the first thing that can't be read."""

    def __init__(self, path: Path, task: Task, *, pause: Pause, most: int = NO_LIMIT) -> None:
        """Find out what kind of table it is. Raises `BadTable` where it is none for this task.

        `most`: how many bytes are read of what is in a packed one.
        """
        self.path = path
        self.task = task
        self._pause = pause
        self._most = most
        name = os.fsencode(path.name).decode("utf-8", errors="replace")
        self.layout = find_layout(path, task.input, name=name, pause=pause, most=most)
        if task.input.id is not None and self.layout.columns:
            _must_have(task.input.id, self.layout.columns)

    @property
    def is_noted(self) -> bool:
        """Whether its records are told where they lie in it (`Record.place`)."""
        return is_noted(self.layout) and not is_packed_name(self.path.name)

    def records(self, rows: RowSet | None = None) -> Iterator[Record]:
        """Yield the records of these rows; None: all of them."""
        every = records_of(self.path, self.layout, pause=self._pause, most=self._most)
        return every if rows is None else _chosen(every, rows)

    def chunks(self, rows: RowSet | None = None) -> Iterator[Sequence[Record]]:
        """Yield the records of each request."""
        records = self.records(rows)
        while chunk := tuple(islice(records, self.task.records_per_request)):
            yield chunk

    def id_of(self, record: Record) -> str:
        """Return a record's id. Raises `BadRecord` where its column has none."""
        return id_of(record, self.task.input.id)


def id_of(record: Record, column: str | None) -> str:
    """Return what identifies a record: what stands in the task's `[input] id`, or its row's number.

    Whether it is unlike every other one is for whoever sees all of them. Raises `BadRecord`.
    """
    if column is None:
        return str(record.row)
    value = record.fields.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a workbook has no other numbers
    text = value if isinstance(value, str) else "" if value is None else as_json(value)
    if not text.strip():
        raise BadRecord(_no_id(record.row, column))
    return text


def _no_id(row: int, column: str) -> Problem:
    return Problem(
        "missing_id",
        f'the record has no id: there is nothing in "{printable(column)}"',
        "Fill it in, or take [input] id out of the task: then the row's number is the id.",
        row=row,
        param=column,
    )


def repeated_id(record: Record, id: str, first: int, column: str) -> Problem:
    """Say that two records have one id."""
    return Problem(
        "duplicate_id",
        f'the id "{printable(id[:_SHOWN])}" is that of row {first:,} already',
        "Give every record its own id, or take [input] id out of the task: then its row is its id.",
        row=record.row,
        param=column,
    )


def _must_have(column: str, columns: Sequence[str]) -> None:
    if column in columns:
        return
    raise BadTable(
        Problem(
            "missing_column",
            f'the table has no column "{printable(column)}", which [input] id names',
            f"Its columns are: {', '.join(map(printable, columns))}. Name one of them in the task,"
            " or add the column.",
            param=column,
        )
    )


def _chosen(records: Iterable[Record], rows: RowSet) -> Iterator[Record]:
    wanted = iter(rows)
    row = next(wanted, None)
    for record in records:
        if record.row == row:
            yield record
            row = next(wanted, None)
            if row is None:
                return
