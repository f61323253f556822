"""The records of a table as it was noted where they lie: the sender's bytes, and the id, unread else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from batchd.core.records import Record
from batchd.core.rows import RowSet
from batchd.rounds.places import places_in
from batchd.rounds.table import Table
from batchd.spool.work import Pause

_BUFFER = 1 << 18
_CHECK_EVERY = 512  #: records between two looks at whether somebody wants us to stop
_decode_id = msgspec.json.Decoder(str).decode


def copied(
    table: Table, rows: RowSet, *, places: Path, ids: Path, signature: str, count: int, pause: Pause
) -> Iterator[Record] | None:
    """Return the records of these rows, with nothing in them but their ids; None: read the table.

    `places`, `ids`: what was noted of its `count` records when it was planned.
    """
    column = table.task.input.id
    noted = ids if column else None
    where = places_in(places, ids=noted, signature=signature, count=count)
    if where is None or not table.is_noted:
        return None
    return _copied(table.path, rows, where, _named(column, ids), pause)


def _copied(
    path: Path,
    rows: RowSet,
    places: Iterator[tuple[int, int]],
    fields: Iterator[dict[str, str]],
    pause: Pause,
) -> Iterator[Record]:
    wanted = iter(rows)
    next_row = next(wanted, None)
    with path.open("rb", buffering=_BUFFER) as file:
        for row, (begin, length) in enumerate(places, start=1):
            named = next(fields)
            if row % _CHECK_EVERY == 0:
                pause()
            if row == next_row:
                file.seek(begin)
                yield Record(row, named, raw=file.read(length))
                next_row = next(wanted, None)


def _named(column: str | None, ids: Path) -> Iterator[dict[str, str]]:
    """Yield, for each record, the one field that tells its id."""
    if column is None:
        while True:
            yield {}
    with ids.open("rb") as file:
        for line in file:
            yield {column: _decode_id(line)}
