"""One pass over a dropped table: what the daemon plans by, and a check tells beforehand.

The requests of round 1 are written as they are rendered, so that a table is read once before it is
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from batchd.core.contents import Count
from batchd.core.problems import Alike, Problem, Problems, Repairs
from batchd.core.prompts import Renderer
from batchd.core.records import BadTable, Record
from batchd.core.rendered import RenderedReader
from batchd.core.repeats import Repeats
from batchd.core.sharding import Sharder
from batchd.core.tasks import Task
from batchd.core.templates import BadRecord
from batchd.rounds.places import noted
from batchd.rounds.table import Table, repeated_id
from batchd.settings import Settings
from batchd.spool.examining import Examined, limits_of, longest_line, rules_of
from batchd.spool.placing import make_folder, placed_with_room, remove_file
from batchd.spool.signature import has_writer, signature
from batchd.spool.work import InputChanged, Pause, digest

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Into:
    """Where the requests go, and the records' ids where a column has them."""

    requests: Path
    ids: Path
    places: Path  #: and where the records lie, where results have the bytes that lie there
    keep_free: int = 0  #: bytes that are left free on the disk


def examine_table(
    path: Path,
    task: Task,
    settings: Settings,
    *,
    pause: Pause,
    into: Into | None = None,
    count: Count | None = None,
    thorough: bool = False,
) -> Examined:
    """Read every record once. Raises `InputChanged` for a file that is still being written.

    `into`: where to write what is rendered; None writes nothing.
    """
    before = signature(path)
    reading = _Reading(task, settings, count=count, thorough=thorough)
    try:
        table = Table(path, task, pause=pause, most=settings.inbox.max_inflated_bytes)
        reading.table = table
        with _written(into, table, before.as_text()) as written:
            reading.read(table, written)
        reading.confirm_repeats(table)
    except BadTable as bad:
        reading.problems.add(bad.problem)
    sha256 = digest(path, pause=pause)
    # A writer that had the file open before the claim goes on writing into it where it lies now.
    if signature(path) != before or has_writer(path):
        raise InputChanged(f"{path.name} is still being written")
    return reading.found(sha256, before.as_text(), before.size)


class _Reading:
    def __init__(
        self, task: Task, settings: Settings, *, count: Count | None, thorough: bool
    ) -> None:
        self.table: Table | None = None
        self._task = task
        self._count = count
        self._longest = longest_line(settings)
        self._reader = RenderedReader(rules_of(settings, count=count, thorough=thorough))
        self._sharder = Sharder(limits_of(settings))
        self._ids = Repeats()
        self._records = 0
        self._example = b""
        self.problems = self._reader.problems
        self._of_rows = Alike(self.problems)

    def read(self, table: Table, written: _Written) -> None:
        renderer = Renderer(self._task)
        for chunk in table.chunks():
            self._records += len(chunk)
            try:
                named = [table.id_of(record) for record in chunk]
                line = renderer.request(chunk, ids=named)
            except BadRecord as bad:
                self._of_rows.add(bad.problem)
                continue
            self._take(chunk, line)
            self._note_empty(chunk)
            written.request(line + b"\n")
            for record in chunk:
                written.place(*record.place)
            self._note_ids(named, written)
        if not self._records and not self.problems.total:
            self.problems.add(_empty())

    def _take(self, chunk: Sequence[Record], line: bytes) -> None:
        if len(line) >= self._longest:
            self.problems.add(_too_long(chunk[0].row, len(line), self._longest))
            return
        request = self._reader.take_of(chunk[0].row, line)
        if request is not None:
            self._example = self._example or line
            self._sharder.add(chunk[0].row, request, *(record.row for record in chunk[1:]))

    def _note_empty(self, chunk: Sequence[Record]) -> None:
        for record in chunk:
            if all(value is None or value == "" for value in record.fields.values()):
                self._reader.warnings.add("empty_record", record.row)

    def _note_ids(self, named: Sequence[str], written: _Written) -> None:
        if self._task.input.id is None:
            return
        for one in named:
            self._ids.add(one.strip())  # as answers are told apart (core/taking.py)
            written.id(_encode(one) + b"\n")

    def confirm_repeats(self, table: Table) -> None:
        """Read the table again for the ids whose hash came twice, and note the real repeats."""
        suspects, first = self._ids.suspects(), dict[str, int]()
        for record, found in _with_ids(table) if suspects else ():
            id = found.strip()
            if hash(id) not in suspects:
                continue
            if id in first:
                problem = repeated_id(record, id, first[id], self._task.input.id or "")
                self.problems.add(problem)
            else:
                first[id] = record.row

    def found(self, sha256: str, signature: str, size: int) -> Examined:
        return Examined(
            sha256=sha256,
            signature=signature,
            size=size,
            requests=self._reader.requests,
            shards=self._sharder.finish(),
            repairs=Repairs(),
            warnings=self._reader.warnings,
            problems=self._told(),
            is_counted=self._count is not None,
            exact=self._reader.exact,
            cuts=self._sharder.cuts,
            records=self._records,
            layout=self.table.layout if self.table else None,
            example=self._example,
        )

    def _told(self) -> Problems:
        """Of a table its records are told by number: a line of the file is something else."""
        told = [
            replace(one, row=one.line, line=None)
            if one.row is None
            else self._of_rows.in_words(one, self._records)
            for one in self.problems.listed
        ]
        return Problems(told, self.problems.total)


def _with_ids(table: Table) -> Iterator[tuple[Record, str]]:
    for record in table.records():
        try:
            yield record, table.id_of(record)
        except BadRecord:
            continue  # said already


def _nothing(*_: Any) -> None:
    """Only what is found out is wanted."""


@dataclass(slots=True)
class _Written:
    """What takes the requests of a table, the ids of its records, and where these lie."""

    request: Callable[[bytes], object] = _nothing
    id: Callable[[bytes], object] = _nothing
    place: Callable[[int, int], object] = _nothing


@contextmanager
def _written(into: Into | None, table: Table, signature: str) -> Iterator[_Written]:
    if into is None:
        yield _Written()
        return
    make_folder(into.requests.parent)
    has_ids, keep_free = table.task.input.id is not None, into.keep_free
    # What is not written now may be there of an earlier look at it, by another task.
    remove_file(into.places)
    remove_file(into.ids)
    with ExitStack() as stack:
        written = _Written(
            stack.enter_context(placed_with_room(into.requests, keep_free=keep_free))
        )
        if has_ids:
            written.id = stack.enter_context(placed_with_room(into.ids, keep_free=keep_free))
        if table.is_noted:
            notes = stack.enter_context(
                noted(into.places, signature=signature, keep_free=keep_free)
            )
            written.place, written.id = notes.place, notes.and_id(written.id)
        yield written


def _empty() -> Problem:
    return Problem(
        "empty_file",
        "the table has no record in it",
        "Put at least one record below the names of its columns and drop it again.",
    )


def _too_long(row: int, size: int, limit: int) -> Problem:
    return Problem(
        "request_too_long",
        f"the request that it becomes has {size:,} bytes, more than {limit:,}",
        "Let the task shorten what it puts in ({{ text | shorten(2000) }}), or make the record"
        " smaller. The limits are inbox.max_line_bytes and batches.max_bytes.",
        row=row,
    )
