"""The requests of a round, rendered from records and written once; the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from batchd.core.chunks import Chunks, lines_within
from batchd.core.prompts import Renderer, beginning_of
from batchd.core.rows import RowSet
from batchd.rounds.table import Table
from batchd.spool.placing import make_folder, placed, placed_with_room, remove_file
from batchd.spool.work import Pause

Rows = tuple[int, ...]  #: of one request
_BUFFER = 1 << 18
_CHECK_EVERY = 512  #: lines between two looks at whether somebody wants us to stop


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
    begin: int = 0,
    keep_free: int = 0,
) -> Path:
    """Return the file to upload for a shard with these rows: its round's, where it has all of it.

    `of_round`: where the requests of the `whole` round lie, of so many (`size`) records each. What
    was removed there, or is not what it was, is rendered anew. `begin`: the byte at which the
    shard's first request should lie there; elsewhere it is looked for from the start.
    """
    if rows == whole and of_round.exists():
        return of_round
    make_folder(own.parent)
    lines = lines_within(rows, whole, size) if of_round.exists() else None
    begins = () if lines is None else ((begin, 0), (0, lines.ranges[0][0] - 1))
    chunks = Chunks(rows, size)
    if not any(_cut(chunks, _lines(of_round, *one, pause), own) for one in begins):
        for _ in write_round(table(), rows, own, keep_free=keep_free):
            pass
    return own


def _lines(path: Path, begin: int, skipped: int, pause: Pause) -> Iterator[bytes]:
    """Yield lines with their line breaks, from a byte on, without the first few."""
    with path.open("rb", buffering=_BUFFER) as file:
        file.seek(begin)
        for number, line in enumerate(file):
            if number % _CHECK_EVERY == 0:
                pause()
            if number >= skipped:
                yield line


def _cut(chunks: Chunks, lines: Iterator[bytes], own: Path) -> bool:
    """Write a shard's requests to its own file; False where these lines are not they."""
    try:
        with placed(own) as file:
            for chunk in chunks:
                line = next(lines, b"")
                if not (line.startswith(beginning_of(chunk[0])) and line.endswith(b"}}\n")):
                    raise ValueError(chunk)
                file.write(line)
    except ValueError:
        remove_file(own)
        return False
    return True
