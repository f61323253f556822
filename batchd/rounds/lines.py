"""What a job's lines are: a file of request lines as it lies, or requests rendered from records.

The stages ask both in the same way, and go by rows: of a file of request lines these are its lines,
of a table its records.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import msgspec

from batchd.core.chunks import Chunks
from batchd.core.harvest import Harvest
from batchd.core.record_harvest import RecordHarvest
from batchd.core.records import Record
from batchd.core.rounds import bytes_before, rows_of_round
from batchd.core.rows import RowSet
from batchd.core.subjects import Job, Shard
from batchd.core.taking import Taker
from batchd.rounds.copying import copied
from batchd.rounds.keeping import kept_task
from batchd.rounds.rendering import Rows, request_file, write_round
from batchd.rounds.table import Table
from batchd.spool.identities import Identities, identities_of, near
from batchd.spool.placing import make_folder, placed
from batchd.spool.recipes import Recipes
from batchd.spool.work import Pause, Work, cut, rows_of


class Lines(Protocol):
    """A planned job's lines. Everything here reads files: it belongs into a thread."""

    @property
    def per_request(self) -> int:
        """How many rows a request carries."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """What its batches bear, besides what batchd says."""
        ...

    def must_be_unchanged(self) -> None:
        """Raise `InputChanged` where what is being uploaded is not what was planned."""
        ...

    def requests(self, rows: RowSet, number: int) -> Iterator[tuple[Rows, bytes]]:
        """Yield the requests of a new round, in order, to the last: which rows each carries."""
        ...

    def file_of(self, shard: Shard, shards: Sequence[Shard]) -> Path:
        """Return the file to upload for one of a job's shards."""
        ...

    def harvest(self, shard: Shard, **terms: Any) -> Harvest:
        """Return what takes this shard's answers, by these terms."""
        ...

    def harvest_again(self, shard: Shard) -> Harvest:
        """Return what only finds out where this shard's answers lie."""
        ...


def lines_of(job: Job, work: Work, recipes: Recipes, *, pause: Pause) -> Lines:
    """Return the lines of a job. `recipes` tell its task where what it kept of that is gone."""
    return RenderedLines(job, work, pause, recipes) if job.task else NativeLines(job, work, pause)


class NativeLines:
    """Those of a dropped file of request lines, or of what is in it, inflated."""

    per_request = 1
    metadata: Mapping[str, str] = {}

    def __init__(self, job: Job, work: Work, pause: Pause) -> None:
        self._job = job
        self._work = work
        self._pause = pause

    def must_be_unchanged(self) -> None:
        """Look at the dropped file, which is what is uploaded, or what that was cut from."""
        self._unchanged()

    def requests(self, rows: RowSet, number: int) -> Iterator[tuple[Rows, bytes]]:
        """Yield the lines of these rows."""
        dropped, place = self._unchanged(), self._near(rows)
        for row, line in rows_of(dropped, rows, pause=self._pause, near=place):
            yield (row,), line

    def file_of(self, shard: Shard, shards: Sequence[Shard]) -> Path:
        """Return the dropped file as it lies, or the rows of this shard."""
        dropped = self._unchanged()
        if self._job.verbatim and shard.round == 1:
            return dropped
        path = self._work.shard_file(self._job.id, shard.id)
        # Cut anew each time: what an earlier try left may come from a file that was changed since.
        cut(dropped, shard.rows, path, pause=self._pause, near=self._near(shard.rows))
        return path

    def harvest(self, shard: Shard, **terms: Any) -> Harvest:
        """Match by the ids in the file. Another's would make every answer a stranger's."""
        ids, as_json = self._identities(shard)
        return Harvest(ids, endpoint=shard.endpoint, as_json=as_json, **terms)

    def harvest_again(self, shard: Shard) -> Harvest:
        """Match by the ids in the file."""
        ids, _ = self._identities(shard)
        return Harvest.again(ids, endpoint=shard.endpoint)

    def _identities(self, shard: Shard) -> Identities:
        self._work.unchanged_dropped(self._job, pause=self._pause)
        kept, sha256 = self._work.ids_file(self._job.id), self._job.sha256 or ""
        return identities_of(shard.rows, kept, sha256, self._unchanged, pause=self._pause)

    def _near(self, rows: RowSet) -> tuple[int, int]:
        """What lies before a shard's lines need not be read: of a large file it was kept where."""
        first, _ = rows.ranges[0]  # nothing is asked for no rows
        return near(first, self._work.ids_file(self._job.id), self._job.sha256 or "")

    def _unchanged(self) -> Path:
        return self._work.unchanged_input(self._job, pause=self._pause)


class RenderedLines:
    """Those that a task makes of a table. They are written once, and made anew where they are gone."""

    def __init__(self, job: Job, work: Work, pause: Pause, recipes: Recipes | None = None) -> None:
        """Read the task that the job keeps. Raises `TaskGone` where that is not there."""
        self._job = job
        self._work = work
        self._pause = pause
        self.task = kept_task(job, work, recipes)
        self.per_request = self.task.records_per_request
        self.metadata = self.task.metadata

    @cached_property
    def table(self) -> Table:
        """The dropped table. Raises `InputChanged` where it is not the one that was planned."""
        dropped = self._work.unchanged_dropped(self._job, pause=self._pause)
        return Table(dropped, self.task, pause=self._pause)

    def copied(self, rows: RowSet) -> Iterator[Record] | None:
        """Return these records with nothing in them but their ids and their bytes as they lie.

        None where it was not noted where they do: then the table is to be read.
        """
        return copied(
            self.table,
            rows,
            places=self._work.places_file(self._job.id),
            ids=self._work.ids_file(self._job.id),
            signature=self._job.signature or "",
            count=self._job.requests,
            pause=self._pause,
        )

    def must_be_unchanged(self) -> None:
        """What is uploaded is ours, and not what was dropped."""

    def requests(self, rows: RowSet, number: int) -> Iterator[tuple[Rows, bytes]]:
        """Render these rows anew: those left of several requests travel in fewer."""
        target = self._work.round_file(self._job.id, number)
        return write_round(self.table, rows, target, keep_free=self._work.keep_free)

    def file_of(self, shard: Shard, shards: Sequence[Shard]) -> Path:
        """Return the file of the shard's round, or its own requests cut out of that."""
        job = self._job
        whole = RowSet(((1, job.requests),)) if shard.round == 1 else rows_of_round(shards, shard)
        return request_file(
            lambda: self.table,
            shard.rows,
            whole=whole,
            size=self.per_request,
            of_round=self._work.round_file(job.id, shard.round),
            own=self._work.shard_file(job.id, shard.id),
            keep_free=self._work.keep_free,
            begin=bytes_before(shard, shards),
            pause=self._pause,
        )

    def harvest(self, shard: Shard, **terms: Any) -> Harvest:
        """Match by the records that a request carries, which follow from the shard's rows."""
        return RecordHarvest(*self._matching(shard), endpoint=shard.endpoint, **terms)

    def harvest_again(self, shard: Shard) -> Harvest:
        """Match by the records, too."""
        return RecordHarvest.to_find(*self._matching(shard), endpoint=shard.endpoint)

    def _matching(self, shard: Shard) -> tuple[Chunks, Any, Taker]:
        chunks = Chunks(shard.rows, self.per_request)
        if self.task.input.id is None:
            return chunks, str, Taker(self.task)
        return chunks, _Ids(self._ids_file(), shard.rows).of, Taker(self.task)

    def _ids_file(self) -> Path:
        path = self._work.ids_file(self._job.id)
        if not path.exists():
            make_folder(path.parent)
            with placed(path) as file:
                for record in self.table.records():
                    file.write(msgspec.json.encode(self.table.id_of(record)) + b"\n")
        return path


class _Ids:
    """The ids of some records, found by their rows: their bytes, and where each begins."""

    def __init__(self, path: Path, rows: RowSet) -> None:
        self._first, last = rows.ranges[0][0], rows.ranges[-1][1]
        self._content, self._starts = bytearray(), array("Q", [0])
        with path.open("rb", buffering=1 << 20) as file:
            for number, line in enumerate(file, start=1):
                if number > last:
                    break
                if number >= self._first:
                    self._content += line
                    self._starts.append(len(self._content))

    def of(self, row: int) -> str:
        """Return a record's id."""
        place = row - self._first
        return str(
            msgspec.json.decode(self._content[self._starts[place] : self._starts[place + 1]])
        )
