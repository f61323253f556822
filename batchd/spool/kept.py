"""Finds the last answer of each row among what all shards of a job brought."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from batchd.core.errors import BatchdError, BrokenInvariant
from batchd.core.index import ENTRY_BYTES, AnswerIndex, Source
from batchd.core.subjects import Shard
from batchd.spool.work import Work

_MOST_OPEN = 16  #: files at once; a job of a thousand shards has two thousand, a process far fewer
_PAGE, _MOST_PAGES = 512, 64  #: entries of an index that are read at once; such parts in memory
KINDS = {Source.OUTPUT: "output", Source.ERROR: "error", Source.NOTES: "notes"}
_NOTES = Source.NOTES  #: to look at a member of an enum takes longer than all else but reading


class AnswersGone(BatchdError):
    """Somebody took kept answers out of var/work; they can be brought again."""

    def __init__(self, message: str, shard: Shard, file: Path | None = None) -> None:
        super().__init__(message)
        self.shard = shard
        self.file = file  #: it is there, and shorter than it was


class Kept(NamedTuple):
    """One row's last line, and where it came from."""

    line: bytes
    endpoint: str
    from_provider: bool  #: False for batchd's own word where the provider has none
    as_json: bool | None  #: whether its request asked for JSON; None where nobody noted that


class KeptAnswers:
    """Row by row access: eight bytes per row in memory, all else stays on disk."""

    def __init__(self, work: Work, shards: Sequence[Shard]) -> None:
        """Find every row's answer. Raises `AnswersGone` for the first shard that lacks some."""
        # A shard that was replaced before it began has neither answers nor an index.
        self._shards = [s for s in shards if s.kept or s.failed or s.again]
        self._work = work
        self._files: dict[tuple[int, Source], int] = {}
        last = max((s.rows.ranges[-1][1] for s in shards), default=0)
        #: by row: shard and entry of the answer that counts. Later shards are later rounds.
        self._where = array("Q", (0,)) * (last + 1)
        #: by place: the parts of indexes that were asked for last
        self._pages: dict[int, AnswerIndex] = {}
        for number in range(len(self._shards)):
            self._find(number)

    def _find(self, number: int) -> None:
        ends, first, where = dict.fromkeys(Source, 0), (number << 32) + 1, self._where
        with self._index_of(number) as index:
            while page := AnswerIndex.decode(index.read(_PAGE * ENTRY_BYTES)):
                for place, (row, unsent) in enumerate(page.rows(), start=first):
                    if not unsent or not where[row]:
                        where[row] = place
                first += len(page)
                for source, end in page.ends().items():
                    ends[source] = max(ends[source], end)
        self._check(self._shards[number], ends)

    @contextmanager
    def _index_of(self, number: int) -> Iterator[BinaryIO]:
        shard = self._shards[number]
        try:
            with self._work.answers(shard.job, shard.id, "index").open("rb") as file:
                yield file
        except (FileNotFoundError, ValueError, IndexError) as error:
            raise AnswersGone(f"no index of the answers of {shard.id}: {error}", shard) from error

    def _page(self, number: int, page: int) -> AnswerIndex:
        with self._index_of(number) as index:
            index.seek((page * _PAGE & 0xFFFFFFFF) * ENTRY_BYTES)
            found = AnswerIndex.decode(index.read(_PAGE * ENTRY_BYTES))
        if len(self._pages) == _MOST_PAGES:
            del self._pages[next(iter(self._pages))]  # as with files
        self._pages[page] = found
        return found

    def _check(self, shard: Shard, ends: Mapping[Source, int]) -> None:
        """Whether the files are there as far as the index reaches."""
        for source, end in ends.items():
            path = self._work.answers(shard.job, shard.id, KINDS[source])
            if end and (not path.exists() or path.stat().st_size < end):
                raise AnswersGone(f"{path.name} is gone from var/work, or cut", shard, path)

    def of(self, row: int) -> Kept:
        """Return a row's last line. Raises `BrokenInvariant` when there is none."""
        place = self._where[row]
        if not place:
            raise BrokenInvariant(f"row {row} has no answer")
        place -= 1
        number, page = place >> 32, place // _PAGE
        index = self._pages.get(page) or self._page(number, page)
        _, source, offset, length, _, as_json = index.entry(place % _PAGE)
        file = self._files.get((number, source)) or self._opened(number, source)
        line, endpoint = os.pread(file, length, offset), self._shards[number].endpoint
        # Not by its name, as in core/index.py.
        return tuple.__new__(Kept, (line, endpoint, source is not _NOTES, as_json))

    def shard_of(self, row: int) -> Shard:
        """Return the shard that brought a row's last line."""
        return self._shards[(self._where[row] - 1) >> 32]

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _opened(self, number: int, source: Source) -> int:
        if len(self._files) == _MOST_OPEN:
            # The one opened first: rows come in order, so it is the likeliest to be done with.
            os.close(self._files.pop(next(iter(self._files))))
        shard = self._shards[number]
        path = self._work.answers(shard.job, shard.id, KINDS[source])
        file = self._files[number, source] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return file


@contextmanager
def kept_answers(work: Work, shards: Sequence[Shard]) -> Iterator[KeptAnswers]:
    """Open a job's answers."""
    answers = KeptAnswers(work, shards)
    try:
        yield answers
    finally:
        answers.close()
