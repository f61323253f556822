"""A dropped file read again: what plan would know of it, and where each request's row is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchd.core.chunks import chunks_of
from batchd.core.inflated import BadGzip
from batchd.core.problems import Repairs
from batchd.core.reading import Request, RequestReader, custom_id_of, normalised
from batchd.core.records import BadTable
from batchd.core.rows import RowSet
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan
from batchd.core.tasks import Task
from batchd.core.templates import BadRecord
from batchd.rounds.rendering import rendered
from batchd.rounds.table import Table
from batchd.settings import Settings
from batchd.spool.examining import limits_of, lines_of, rules_of
from batchd.spool.signature import signature
from batchd.spool.work import digest, raw_lines


class Lines:
    """The requests of one dropped file."""

    task: Task | None = None  #: what it was dropped for; None: it has request lines itself

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.signature = signature(path).as_text()
        self._settings = settings
        self._kinds: list[tuple[str, str]] = []  #: endpoint and model
        self._kind = array("H")  #: by row, from 0
        self._weights = array("Q")  #: five numbers by row: `_weights_of`
        self._ids: dict[str, tuple[int, int]] = {}  #: custom_id -> row and hash of the line
        self._read(path)

    def rows_of(self, lines: Iterable[tuple[str, int]]) -> RowSet | None:
        """Return the rows that these lines are; None where one of them is none of this file's."""
        rows = list[int]()
        for custom_id, fingerprint in lines:
            row, expected = self._ids.get(custom_id, (0, 0))
            if not row or fingerprint != expected:
                return None
            rows += self._carried(row)
        return RowSet.of(rows) or None

    def _carried(self, row: int) -> Iterable[int]:
        """Return the rows that the request of a row carries."""
        return (row,)

    def shards(self, rows: RowSet, *, limited: bool) -> tuple[ShardPlan, ...]:
        """Cut rows into shards; without limits, to say what is travelling already."""
        sharder = Sharder(limits_of(self._settings) if limited else ShardLimits())
        for row in rows:
            sharder.add(row, self._request(row))
        return sharder.finish()

    def _request(self, row: int) -> Request:
        endpoint, model = self._kinds[self._kind[row - 1]]
        size, tokens, inputs, output_tokens, output_bytes = self._weights[row * 5 - 5 : row * 5]
        return Request(
            "",
            endpoint,
            model,
            size,
            tokens,
            inputs=inputs,
            output_tokens=output_tokens,
            output_bytes=output_bytes,
        )

    def _read(self, path: Path) -> None:
        reader, rows = RequestReader(rules_of(self._settings, count=None)), []
        try:
            for row, raw in enumerate(lines_of(path, self._settings, pause=_go_on), start=1):
                if request := reader.take(raw):
                    rows.append(row)
                    self._ids[request.custom_id] = row, hash(normalised(raw, row))
                self._note(request)
        except BadGzip as bad:
            reader.give_up(bad.problem)
        self._judge(reader, RowSet.of(rows), len(rows))

    def _judge(self, reader: RequestReader, rows: RowSet, requests: int) -> None:
        self.rows = rows
        self.repairs: Repairs = reader.repairs
        self.sha256 = digest(self.path, pause=_go_on)
        #: whether it is as good as it was when it was planned
        self.is_good = not reader.problems.total and len(self._ids) == requests > 0

    def _note(self, request: Request | None) -> None:
        kind = (request.endpoint, request.model) if request else ("", "")
        if kind not in self._kinds:
            self._kinds.append(kind)
        self._kind.append(self._kinds.index(kind))
        self._weights.extend(_weights_of(request) if request else (0,) * 5)


class TableLines(Lines):
    """The requests that a table's task made of it, as they were sent in its first round.

    Several records to a request are put together anew in every later round: which, nobody knows
    any more, and such a batch is none of this file's.
    """

    def __init__(self, path: Path, task: Task, settings: Settings) -> None:
        self.task = task
        super().__init__(path, settings)

    def shards(self, rows: RowSet, *, limited: bool) -> tuple[ShardPlan, ...]:
        """Cut rows into shards, between two requests."""
        sharder = Sharder(limits_of(self._settings) if limited else ShardLimits())
        for first, *more in chunks_of(rows, self._size):
            sharder.add(first, self._request(first), *more)
        return sharder.finish()

    @property
    def _size(self) -> int:
        return self.task.records_per_request if self.task else 1

    def _carried(self, row: int) -> Iterable[int]:
        return range(row, min(row + self._size - 1, self._last) + 1)

    def _read(self, path: Path) -> None:
        assert self.task is not None
        reader, requests = RequestReader(rules_of(self._settings, count=None)), 0
        self._last = 0
        try:
            for carried, line in rendered(Table(path, self.task, pause=_go_on)):
                request = reader.take(line)
                if request:
                    self._ids[request.custom_id] = carried[0], hash(line)
                requests, self._last = requests + 1, carried[-1]
                for row in carried:
                    self._note(request if row == carried[0] else None)
        except (BadTable, BadRecord) as bad:
            reader.give_up(bad.problem)
        self._judge(reader, RowSet(((1, self._last),)) if self._last else RowSet(), requests)


def _weights_of(one: Request) -> tuple[int, ...]:
    return one.size, one.tokens, one.inputs, one.output_tokens, one.output_bytes


def fingerprints(path: Path) -> Iterator[tuple[str, int]]:
    """Yield what tells the lines of an uploaded file: custom_id and a hash of the whole line.

    Raises `msgspec.MsgspecError` for a line that is no request.
    """
    for row, raw in enumerate(raw_lines(path, longest=1 << 40, pause=_go_on), start=1):
        if line := normalised(raw, row):
            yield custom_id_of(line), hash(line)


def _go_on() -> None:
    """Nobody waits for anything else meanwhile."""
