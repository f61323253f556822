"""Fills the folder of a table: one line and one row per record, in its order, failed ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from batchd.core.answers import Answer, read_answer
from batchd.core.asked import asked_for_json
from batchd.core.chunks import Chunks
from batchd.core.columns import Columns
from batchd.core.limits import canonical
from batchd.core.receipt import Account
from batchd.core.records import Layout, Record
from batchd.core.rendering import record_error_line, result_line
from batchd.core.rounds import all_rows, executions
from batchd.core.rows import RowSet
from batchd.core.subjects import Shard
from batchd.core.taking import Group, Taker, opened
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, Task
from batchd.rounds.lines import RenderedLines
from batchd.rounds.table import Table
from batchd.settings import Settings
from batchd.spool.filling import Filling
from batchd.spool.kept import KeptAnswers, kept_answers
from batchd.spool.work import Work
from batchd.tables import ResultTable, result_name, retry_name

_LISTS = (EMBEDDINGS, MODERATIONS)
_AT_ONCE = 64  #: answers for several records that are remembered until the last of these came


def fill_table(
    lines: RenderedLines,
    shards: Sequence[Shard],
    account: Account,
    filling: Filling,
    *,
    work: Work,
    settings: Settings,
) -> None:
    """Write everything that is delivered of a table, but the receipt and the table itself."""
    rows = all_rows(shards)
    attempts = executions(shards, last_row=rows.ranges[-1][1])
    with kept_answers(work, shards) as kept:
        page = _Page(lines.task, lines.table, kept, account, filling, settings)
        for record in lines.copied(rows) or lines.table.records(rows):
            page.add(record, attempts[record.row])
        page.close()


class _Page:
    """What one record leaves in the files of its folder."""

    def __init__(
        self,
        task: Task,
        table: Table,
        kept: KeptAnswers,
        account: Account,
        filling: Filling,
        settings: Settings,
    ) -> None:
        self._answers = _Answers(task, kept, on_truncated=settings.retries.on_truncated)
        self._as_json = task.output.schema is None and _asks_for_json(task)
        self._columns = Columns(task, table.layout)
        self._id_of = table.id_of
        self._account = account
        self._filling = filling
        self._with_responses = settings.results.task_responses
        self._tables = _Tables(table.layout, self._columns.added, filling)

    def add(self, record: Record, attempts: int) -> None:
        """Write one record's result, its row, and why it failed where it did."""
        answer = self._answers.of(record.row, self._id_of(record))
        self._account.add(record.row, answer)
        write = self._filling.write
        write("results.jsonl", result_line(answer, as_json=self._as_json, attempts=attempts))
        self._tables.result(record, self._columns.values(answer, record.fields))
        if self._with_responses and (line := self._answers.line_of(record.row)) is not None:
            write("responses.jsonl", line)
        if answer.code is not None:
            write("errors.jsonl", record_error_line(answer, row=record.row, attempts=attempts))
            self._tables.again(record)

    def close(self) -> None:
        """Write what is not yet written."""
        self._tables.close()


def _asks_for_json(task: Task) -> bool:
    """Whether its own parameters ask for JSON of no schema that batchd knows."""
    return asked_for_json(msgspec.json.encode({"body": task.parameters}))


class _Answers:
    """The last answer of each record, taken out of the line that it came in."""

    def __init__(self, task: Task, kept: KeptAnswers, *, on_truncated: str) -> None:
        self._kept = kept
        self._task = task
        self._taker = Taker(task)
        self._truncated_fails = on_truncated == "fail"
        #: of vectors and moderations only the place in the list says whose they are
        self._is_by_place = task.is_grouped and canonical(task.endpoint) in _LISTS
        # Several records have the same line, and are next to each other as a rule.
        self._spread = lru_cache(_AT_ONCE)(self._spread)  # type: ignore[method-assign]
        self._opened = lru_cache(_AT_ONCE)(self._opened)  # type: ignore[method-assign]
        self._told: set[int] = set()

    def of(self, row: int, id: str) -> Answer:
        """Return a record's answer."""
        last = self._kept.of(row)
        if self._is_by_place:
            spread = self._spread(last.line, last.endpoint, self._kept.shard_of(row).rows)
            return replace(spread[row], custom_id=id, usage=None)
        if self._task.is_grouped:
            return self._taker.take_one(self._opened(last.line, last.endpoint), id)
        ((_, own),) = self._taker.take(self._read(last.line, last.endpoint), [(row, id)]).answers
        return own

    def line_of(self, row: int) -> bytes | None:
        """Return the provider's line, where it was not returned before."""
        last = self._kept.of(row)
        if not last.from_provider:
            return None
        if self._task.is_grouped:
            if hash(last.line) in self._told:
                return None
            self._told.add(hash(last.line))
        return last.line

    def _read(self, line: bytes, endpoint: str) -> Answer:
        return read_answer(line, endpoint, truncated_fails=self._truncated_fails)

    def _opened(self, line: bytes, endpoint: str) -> Group:
        return opened(self._read(line, endpoint))

    def _spread(self, line: bytes, endpoint: str, rows: RowSet) -> dict[int, Answer]:
        """Take an answer apart for all records of its request, by row."""
        answer = self._read(line, endpoint)
        asked = Chunks(rows, self._task.records_per_request).of(answer.custom_id) or ()
        return dict(self._taker.take(answer, [(row, "") for row in asked]).answers)


class _Tables:
    """The table with its answers, and the one of what failed; each made when its first row comes."""

    def __init__(self, layout: Layout, added: Sequence[str], filling: Filling) -> None:
        self._layout = layout
        self._added = added
        self._filling = filling
        self._result_name = result_name(layout)
        self._open: dict[str, ResultTable] = {}

    def result(self, record: Record, values: Mapping[str, Any]) -> None:
        """Write a row with its answer. Plain text has no columns, and no such table."""
        if self._result_name is not None:
            self._table(self._result_name, self._added).write(record, values)

    def again(self, record: Record) -> None:
        """Write a row as it came, to be dropped again."""
        self._table(retry_name(self._layout), ()).write(record, {})

    def close(self) -> None:
        for table in self._open.values():
            table.close()

    def _table(self, name: str, added: Sequence[str]) -> ResultTable:
        if name not in self._open:
            self._open[name] = ResultTable(self._filling.file(name), self._layout, added)
        return self._open[name]
