"""The requests of a round, rendered from records and written once; the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from batchd.core.chunks import Chunks, custom_id_of, lines_within
from batchd.core.prompts import Renderer
from batchd.core.reading import custom_id_of as id_of_line
from batchd.core.rows import RowSet
from batchd.rounds.table import Table
from batchd.spool.placing import make_folder, placed, placed_with_room, remove_file
from batchd.spool.work import Pause, rows_of

Rows = tuple[int, ...]  #: of one request


def rendered(table: Table, rows: RowSet | None = None) -> Iterator[tuple[Rows, bytes]]:
    """Yield the requests of these rows, None for all: which rows each carries, and its line.

    Raises `BadTable` and `BadRecord`.
    """
    renderer = Renderer(table.task)
    for chunk in table.chunks(rows):
        ids = [table.id_of(record) for record in chunk]
        yield tuple(record.row for record in chunk), renderer.request(chunk, ids=ids)


def write_round(
    table: Table, rows: RowSet, target: Path, *, keep_free: int = 0
) -> Iterator[tuple[Rows, bytes]]:
    """Write the requests of these rows to a file, which appears with the last of them; yield each."""
    make_folder(target.parent)
    with placed_with_room(target, keep_free=keep_free) as write:
        for number, line in rendered(table, rows):
            write(line + b"\n")
            yield number, line


def request_file(
    table: Callable[[], Table],
    rows: RowSet,
    *,
    whole: RowSet,
    size: int,
    of_round: Path,
    own: Path,
    pause: Pause,
    keep_free: int = 0,
) -> Path:
    """Return the file to upload for a shard with these rows: its round's, where it has all of it.

    `of_round`: where the requests of the `whole` round lie, of so many (`size`) records each. What
    was removed there, or is not what it was, is rendered anew.
    """
    if rows == whole and of_round.exists():
        return of_round
    make_folder(own.parent)
    if not _cut(rows, whole, size, of_round, own, pause):
        for _ in write_round(table(), rows, own, keep_free=keep_free):
            pass
    return own


def _cut(rows: RowSet, whole: RowSet, size: int, of_round: Path, own: Path, pause: Pause) -> bool:
    """Cut a shard's requests out of its round's; False where they are not there."""
    lines = lines_within(rows, whole, size)
    if lines is None or not of_round.exists():
        return False
    chunks = Chunks(rows, size)
    try:
        with placed(own) as file:
            found = rows_of(of_round, lines, pause=pause)
            for chunk, (_, line) in zip(chunks, found, strict=True):
                if id_of_line(line) != custom_id_of(chunk):
                    raise ValueError(chunk)
                file.write(line + b"\n")
    except (ValueError, msgspec.MsgspecError):
        remove_file(own)
        return False
    return True
