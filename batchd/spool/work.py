"""One folder per open job: the dropped file, the parts that travel, the answers as they came.

var/work/JOB/in/NAME              the dropped file, moved here by the claim
var/work/JOB/in/TASK/NAME         the same, from a task's folder in the inbox
var/work/JOB/task.json            its task as it was when the file was planned
var/work/JOB/rounds/1.jsonl       the requests of a round, rendered from records; made anew at will
var/work/JOB/rounds/ids.jsonl     the records' ids, where a column has them, or the lines' of a
                                  large file; made anew at will
var/work/JOB/rounds/places        where each record lies in its table; what isn't there is not missed
var/work/JOB/done/NAME.done       what said that it was complete, where that is asked for
var/work/JOB/regaining/SHARD/     what was uploaded, fetched back where the dropped file is gone
var/work/JOB/plain.jsonl          its lines, where it is compressed; made anew at will
var/work/JOB/own                  its copy while one is made, where it has a second name elsewhere
var/work/JOB/shards/SHARD.jsonl   what is uploaded, where the file can't travel as it lies
var/work/JOB/answers/SHARD.*      what came back, and where each row's answer lies in it
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from batchd.core.errors import BatchdError, BrokenInvariant
from batchd.core.names import is_job_id, is_task_name, shown
from batchd.core.reading import normalised
from batchd.core.reasons import ReasonCode
from batchd.core.receipt import DeliveredFile
from batchd.core.rows import RowSet
from batchd.core.subjects import Job
from batchd.spool.crossing import claim_across, finish_claim
from batchd.spool.done import give_back, plain_files, take_done
from batchd.spool.inflating import PlainCopies, is_packed, open_lines
from batchd.spool.placing import (
    PART,
    make_folder,
    placed,
    remove_file,
    remove_folder,
    rename,
    sync_folder,
)
from batchd.spool.signature import Signature, has_writer, signature

_CHECK_EVERY = 512  #: lines between two looks at whether somebody wants us to stop
_BUFFER = 1 << 20
_NO_LIMIT = 1 << 62

Pause = Callable[[], None]  #: called now and then in long work; raises when it is to stop


class InputChanged(BatchdError):
    """The dropped file is not the one that was read; the job waits until it is again."""

    reason = ReasonCode.INPUT_CHANGED


class Work:
    """The work folders of one root."""

    def __init__(self, folder: Path, *, keep_free: int = 0) -> None:
        self._folder = folder
        self.plain_copies = PlainCopies(keep_free)

    @property
    def keep_free(self) -> int:
        """How many bytes large files of ours leave free on the disk."""
        return self.plain_copies.keep_free

    def of(self, job: str) -> Path:
        """Return the folder of a job."""
        return self._folder / job

    def jobs(self) -> list[str]:
        """List the jobs that have a folder, oldest first."""
        return sorted(entry.name for entry in os.scandir(self._folder) if is_job_id(entry.name))

    @contextlib.contextmanager
    def claiming(
        self, jobs: Sequence[str], inbox: Path, *, tasks: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        """Make the folders of a handful of claims, and its renames durable when they are made.

        A handful is synced together because a disk is: the first sync takes what the others would
        have taken. The folders are durable before anything is renamed into them, and the renames
        before anybody lists them. `tasks` says whose file comes from which task's folder.
        """
        tasks = tasks or {}
        make_folder(self._folder)
        for job in jobs:
            self._in(job, tasks.get(job, "")).mkdir(parents=True)
        self._sync((self._in(job) for job in tasks), *map(self.of, jobs), self._folder)
        try:
            yield
        finally:
            inside = (self._in(job, tasks.get(job, "")) for job in jobs)
            # A task's folder may be gone once its last file was taken.
            left = filter(Path.is_dir, {inbox / task for task in tasks.values()})
            self._sync((one for one in inside if any(one.iterdir())), *left, inbox)

    def _sync(self, folders: Iterable[Path], *last: Path) -> None:
        for folder in (*folders, *last):
            sync_folder(folder)

    def claim(self, dropped: Path, job: str, *, done: Path | None = None, task: str = "") -> Path:
        """Take a file out of the inbox by one rename, while `claiming`. From here it is this job's.

        Its done file goes first: left behind by a crash, it would call the next file of that name
        complete. Without its file it goes back, now or at the next start.
        """
        target = self.dropped_at(job, os.fsencode(dropped.name), task)
        if done is None:
            return self._claim(dropped, target, job)
        take_done(done, self._done(job))
        try:
            return self._claim(dropped, target, job)
        except OSError:
            self._give_back(job, done.parent)
            raise

    def _claim(self, dropped: Path, target: Path, job: str) -> Path:
        try:
            rename(dropped, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            claim_across(dropped, target, self._note(job))
        return target

    def finish_claim(self, job: str) -> None:
        """Finish a claim across file systems that was interrupted; there is nothing else to do."""
        finish_claim(self._in(job, self.task_of(job)), self._note(job))

    def give_back_done(self, job: str, inbox: Path) -> None:
        """Put the done file of a claim that came to nothing back beside its file."""
        self._give_back(job, inbox / self.task_of(job))

    def _give_back(self, job: str, folder: Path) -> None:
        for done in plain_files(self._done(job)):
            make_folder(folder)
            give_back(done, folder, job)

    def leaving(self, job: str) -> list[Path]:
        """Return what goes to its reader with the results: the dropped file, then its done file."""
        # In this order: a draft that has an input/ is known to have the dropped file.
        dropped = self.input(job)
        return [*([dropped] if dropped else []), *plain_files(self._done(job))]

    def done_files(self, job: str, *, pause: Pause) -> list[DeliveredFile]:
        """Return a job's done file as its receipt tells of it."""
        return [
            DeliveredFile(
                f"input/{shown(os.fsencode(path.name))}",
                path.stat().st_size,
                digest(path, pause=pause),
            )
            for path in plain_files(self._done(job))
        ]

    def _done(self, job: str) -> Path:
        return self.of(job) / "done"

    def _note(self, job: str) -> Path:
        return self.of(job) / "claiming.json"

    def input(self, job: str) -> Path | None:
        """Return the dropped file; None where the claim never came to its rename."""
        inside = self._in(job)
        files = [*plain_files(inside), *chain.from_iterable(map(plain_files, _tasks_in(inside)))]
        if len(files) > 1:
            raise BrokenInvariant(f"{inside} has {len(files)} files; a job has one")
        return files[0] if files else None

    def task_of(self, job: str) -> str:
        """Return the task whose folder a job's file was dropped into; "" for none."""
        return next((folder.name for folder in _tasks_in(self._in(job))), "")

    def dropped_at(self, job: str, name: bytes, task: str = "") -> Path:
        """Return where a job's dropped file of this name lies, or is to lie."""
        return self._in(job, task) / os.fsdecode(name)

    def _in(self, job: str, task: str = "") -> Path:
        return self.of(job) / "in" / task

    def task_file(self, job: str) -> Path:
        """Return where a job's task lies as it was when its file was planned."""
        return self.of(job) / "task.json"

    def round_file(self, job: str, number: int) -> Path:
        """Return where the requests of a round lie, or are to lie, where they are rendered."""
        return self.of(job) / "rounds" / f"{number}.jsonl"

    def ids_file(self, job: str) -> Path:
        """Return where the ids of a job's records lie, one a line, where a column has them.

        Of a file of request lines: where those of its lines do (`spool/identities.py`).
        """
        return self.of(job) / "rounds" / "ids.jsonl"

    def places_file(self, job: str) -> Path:
        """Return where it is noted where the records of a job lie in its table."""
        return self.of(job) / "rounds" / "places"

    def regaining(self, job: str, shard: str) -> Path:
        """Return where it is fetched back to, should it be gone, when this shard needs it."""
        return self.of(job) / "regaining" / shard

    def unchanged_input(self, job: Job, *, pause: Pause) -> Path:
        """Return the lines of a planned job: its dropped file, or what is in it, inflated.

        Raises `InputChanged` where that is not the one that was planned.
        """
        dropped = self.unchanged_dropped(job, pause=pause)
        if is_packed(dropped):
            return self.plain_copies.of(dropped, self._plain(job.id), pause=pause)
        return dropped

    def unchanged_dropped(self, job: Job, *, pause: Pause) -> Path:
        """Return the dropped file of a planned job, packed if it was. Raises `InputChanged`."""
        dropped = self.input(job.id)
        if dropped is None:
            raise InputChanged(
                f"the dropped file of job {job.id} is gone from {self.of(job.id)}/in"
            )
        if not is_same(dropped, known=job.signature or "", sha256=job.sha256 or "", pause=pause):
            raise InputChanged(f"{dropped} was changed after it had been checked; put it back")
        return dropped

    def forget_plain(self, job: str) -> None:
        """Remove the inflated copy of a dropped file that has left."""
        self.plain_copies.forget(self._plain(job))

    def _plain(self, job: str) -> Path:
        return self.of(job) / "plain.jsonl"

    def make_own(self, path: Path, *, pause: Pause) -> None:
        """Copy a file that has a second name elsewhere: it could be changed through that one.

        Raises `InputChanged` for one that is being changed while it is copied.
        """
        # Made outside of in/: a name of 255 bytes has no room for ".part".
        own = self.of(path.relative_to(self._folder).parts[0]) / "own"
        before = signature(path)
        with path.open("rb") as source, placed(own) as copy:
            while chunk := source.read(_BUFFER):
                pause()
                copy.write(chunk)
            # Half of one content and half of another would look quiet from then on.
            if signature(path) != before or has_writer(path):
                raise InputChanged(f"{path.name} is still being written")
        own.replace(path)
        sync_folder(path.parent)

    def shard_file(self, job: str, shard: str) -> Path:
        """Return where a shard's own request file lies, or is to lie."""
        return self.of(job) / "shards" / f"{shard}.jsonl"

    def answers(self, job: str, shard: str, kind: str) -> Path:
        """Return where a shard's answers of a kind (output, error, notes, index) lie."""
        return self.of(job) / "answers" / f"{shard}.{kind}"

    def remove(self, job: str) -> None:
        """Remove what is left of a job's folder."""
        remove_folder(self.of(job))

    def remove_empty(self, job: str) -> None:
        """Remove the folder of a claim that never came to its rename; never anybody's file."""
        # Killed before the note of a crossing had its name, which moved nothing yet.
        note = self._note(job)
        remove_file(note.with_name(note.name + PART))
        folders = (*_tasks_in(self._in(job)), self._in(job), self._done(job), self.of(job))
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _tasks_in(inside: Path) -> list[Path]:
    """The folder of the task in a job's in/. Any other folder was swapped for the dropped file
    while that was taken, has its name, and is nobody's task.
    """
    if not inside.is_dir():
        return []
    with os.scandir(inside) as entries:
        folders = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    return [inside / name for name in folders if is_task_name(name)]


def raw_lines(
    path: Path, *, longest: int, pause: Pause, most: int = _NO_LIMIT, start: int = 0
) -> Iterator[bytes]:
    """Yield the lines of a file, memory flat. A line above `longest` comes cut, and is the last.

    `start`: the byte to begin at, of a file that is not packed. Raises `BadGzip` for a packed file
    that can't be inflated, or has more than `most` bytes.
    """
    with open_lines(path, most=most) as file:
        if start:
            file.seek(start)
        count = 0
        while raw := file.readline(min(longest + 1, _BUFFER)):
            if len(raw) == _BUFFER and not raw.endswith(b"\n"):
                raw = _long_line(file, raw, longest=longest)
            if count % _CHECK_EVERY == 0:
                pause()
            count += 1
            yield raw
            if len(raw) > longest:
                return


def _long_line(file: BinaryIO, begun: bytes, *, longest: int) -> bytes:
    """Return the line that begins so, cut after `longest` + 1 bytes.

    It is collected where its bytes stay: readline() joins what it has collected, which is twice
    the memory.
    """
    line = io.BytesIO()
    length = line.write(begun)
    while length <= longest and (piece := file.readline(min(longest + 1 - length, _BUFFER))):
        length += line.write(piece)
        if piece.endswith(b"\n"):
            break
    return line.getvalue()


def rows_of(
    path: Path, rows: RowSet, *, pause: Pause, near: tuple[int, int] = (1, 0)
) -> Iterator[tuple[int, bytes]]:
    """Yield the chosen rows as they travel: row number and line, without its line break.

    `near`: a row that is not after the first of them, and the byte at which its line begins.
    """
    wanted, (first, start) = iter(rows), near
    row = next(wanted, None)
    lines = raw_lines(path, longest=1 << 40, pause=pause, start=start)
    for number, raw in enumerate(lines, start=first):
        if row is None:
            return
        if number == row:
            yield row, normalised(raw, row)
            row = next(wanted, None)


def cut(
    source: Path, rows: RowSet, target: Path, *, pause: Pause, near: tuple[int, int] = (1, 0)
) -> None:
    """Write the chosen rows to a file of their own. Cutting twice writes the same bytes.

    `near` as for `rows_of`.
    """
    make_folder(target.parent)
    with placed(target) as file:
        for _, line in rows_of(source, rows, pause=pause, near=near):
            file.write(line + b"\n")


def is_same(path: Path, *, known: str, sha256: str, pause: Pause) -> bool:
    """Whether a file is still what was read: by its signature, or else by its content.

    A restored backup or another disk changes every inode; the bytes are what counts.
    """
    return signature(path).as_text() == known or digest(path, pause=pause) == sha256


def digest(path: Path, *, pause: Pause) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_BUFFER):
            pause()
            sha256.update(chunk)
    return sha256.hexdigest()


__all__ = ["Pause", "Signature", "Work", "cut", "digest", "is_same", "raw_lines", "rows_of"]
