"""Walks through a shard's answer files, and keeps where each answer lies in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from batchd.core.harvest import Harvest
from batchd.core.index import Source
from batchd.core.notes import Notes
from batchd.core.subjects import Shard
from batchd.spool.kept import KINDS
from batchd.spool.placing import make_folder, place, placed, remove_file
from batchd.spool.work import Pause, Work

_CHECK_EVERY = 512  #: lines between two looks at whether somebody wants us to stop


def bring_in(work: Work, shard: Shard, harvest: Harvest, notes: Notes, *, pause: Pause) -> None:
    """Take every line that lies here, note the rest, and write the index. Twice writes the same."""
    for source in (Source.OUTPUT, Source.ERROR):
        path = work.answers(shard.job, shard.id, KINDS[source])
        if path.exists():
            for offset, line in _lines(path, pause):
                harvest.take(source, offset, line)
    path = work.answers(shard.job, shard.id, KINDS[Source.NOTES])
    make_folder(path.parent)
    _note_the_rest(harvest, notes, path, pause)
    place(work.answers(shard.job, shard.id, "index"), harvest.index().encode())


def _lines(path: Path, pause: Pause) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines of an answer file and where they begin, memory flat."""
    offset = 0
    with path.open("rb", buffering=1 << 20) as file:
        for number, raw in enumerate(file):
            if number % _CHECK_EVERY == 0:
                pause()
            line = raw.rstrip()
            if line:
                yield offset, line
            offset += len(raw)


def _note_the_rest(harvest: Harvest, notes: Notes, path: Path, pause: Pause) -> None:
    """Write batchd's own word for every request that the provider's files don't mention."""
    rest = list(harvest.missing())
    if not rest:
        remove_file(path)
        return
    offset = 0
    with placed(path) as file:
        for position, (custom_id, row) in enumerate(rest):
            line = notes.line(custom_id, row)
            file.write(line + b"\n")
            harvest.take(Source.NOTES, offset, line, executed=notes.executed)
            offset += len(line) + 1
            if position % _CHECK_EVERY == 0:
                pause()
    if notes.oddity:
        harvest.count(notes.oddity, len(rest))
