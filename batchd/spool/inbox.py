"""What lies in the inbox, and which of it is finished. Only looks; taking is `work.py`'s.

The scan is the truth. A file is settled when batchd itself has seen it unchanged for long enough,
on the monotonic clock, in at least two looks: never by comparing a file's time with ours, for
copying programs set old times, and never by an event, for events get lost.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from batchd.core.pacing import backoff
from batchd.core.reasons import ReasonCode
from batchd.spool.endings import lacks_end, lacks_last_line
from batchd.spool.inflating import Probe, is_packed
from batchd.spool.signature import Signature, being_written, open_plain
from batchd.spool.wanted import Names

_USUAL = Names()
_SHORTEST_WAIT = 0.1  #: seconds between two looks, however impatient the settings


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file in the inbox whose name is wanted."""

    path: Path
    signature: Signature
    done: Path | None = None  #: the file beside it that says it is complete
    is_announced: bool = True  #: False while such a file is waited for
    task: str = ""  #: in whose folder it lies

    @property
    def name(self) -> str:
        """Where it lies below the inbox."""
        return _below(self.path, self.task)


def look(
    folder: Path,
    names: Names = _USUAL,
    *,
    aside: Callable[[Sequence[str]], object] = lambda _: None,
) -> Iterator[Found]:
    """List the wanted files of a folder. Links, pipes, devices and folders are left alone, never
    opened.

    `aside` is told the other names, all at once: the folder is listed once. Where a done file is
    asked for, a file is only told as announced where one lies beside it.
    """
    with os.scandir(folder) as entries:
        every = [entry.name for entry in entries]
    # Ten thousand ignored names are looked through every few seconds, for ever: no call for each.
    may_be = names.may_be_wanted
    wanted = [name for name in every if may_be(name.lower()) and names.want(name)]
    taken = set(wanted)
    aside([name for name in every if name not in taken])
    for name in wanted:
        path = folder / name
        if (status := _if_plain(path)) is None:
            continue
        if names.announced_by is None:
            yield Found(path, Signature.of(status), task=names.task)
            continue
        done = path.with_name(name + names.announced_by)
        is_announced = _if_plain(done) is not None
        beside = done if is_announced else None
        yield Found(path, Signature.of(status), beside, is_announced, names.task)


def _if_plain(path: Path) -> os.stat_result | None:
    try:
        status = path.lstat()
    except OSError:
        return None  # gone since it was listed, or out of reach: one file never stops the others
    return status if stat.S_ISREG(status.st_mode) else None


@dataclass(slots=True)
class _Fidget:
    """A file whose times change and nothing else: a scanner, an indexer, a loop of touch."""

    since: float
    digest: bytes = b""  #: of its content, at the last time it was read
    read_at: float = 0.0


@dataclass(slots=True)
class _Observation:
    path: Path
    signature: Signature
    since: float
    looks: int = 1
    refusals: int = 0  #: how often it could not be taken, in a row
    not_before: float = 0.0
    changed: bool = False  #: it was seen otherwise before
    is_announced: bool = True
    task: str = ""
    fidget: _Fidget | None = None
    inflates: bool | None = None  #: whether its gzip data is whole; None was not asked
    lacks: ReasonCode | None = None  #: why it was not whole, when that was last asked

    @property
    def name(self) -> str:
        return _below(self.path, self.task)


@dataclass(frozen=True, slots=True)
class Observed:
    """Why a file has not been taken, for people."""

    name: str  #: where it lies below the inbox
    size: int
    since: float  #: unchanged since; monotonic seconds
    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file is given before it is taken, in seconds without a change."""

    settle: float
    empty: float  #: a zero-byte file: Finder creates the name first, the content comes later
    cut: float  #: a file whose last line, or gzip data, is not complete
    most: float = 60.0  #: a file that is touched all the time: then its content decides


class Settling:
    """Remembers how long each file has been as it is."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._seen: dict[Path, _Observation] = {}

    def be_patient(self, patience: Patience) -> None:
        """Wait differently from now on; what was seen stays seen."""
        self._patience = patience

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._seen)

    def observe(
        self, found: Iterable[Found], now: float, *, most: int, probe: Probe | None = None
    ) -> list[Found]:
        """Take one look's findings; return at most so many that are settled, oldest first.

        `now` is monotonic seconds. What is no longer there is forgotten. `probe` is this look's.
        """
        probe = probe or Probe()
        looked = {file.path: file for file in map(self._familiar, found)}
        self._seen = {path: self._observation(file, now) for path, file in looked.items()}
        quiet = [file for path, file in looked.items() if self._is_ready(path, now)]
        quiet.sort(key=lambda file: (file.signature.mtime_ns, file.path))
        # Only now are files opened, and only as many as are wanted: thirty thousand dropped at
        # once would otherwise all be opened again for each handful that is taken.
        return list(islice((file for file in quiet if self._is_whole(file.path, now, probe)), most))

    def put_off(self, path: Path, now: float) -> float:
        """Note that a file could not be taken; return the seconds until it is offered again."""
        seen = self._seen[path]
        seen.refusals += 1
        wait = backoff(seen.refusals)
        seen.not_before = now + wait
        return wait

    def next_look(self, now: float) -> float | None:
        """Seconds until a file may have settled; None when nothing is being waited for."""
        # A done file rings the bell when it comes; until then nothing can have settled.
        awaited = (seen for seen in self._seen.values() if seen.is_announced)
        waits = [seen.since + self._patience.settle - now for seen in awaited]
        # A file past its quiet time that still waits (a writer, a cut line) is looked at
        # again after another one.
        again = max(self._patience.settle, _SHORTEST_WAIT)
        return min((w if w > 0 else again for w in waits), default=None)

    @property
    def waiting(self) -> Mapping[Path, float]:
        """Since when (monotonic) each file has been as it is."""
        return {path: seen.since for path, seen in self._seen.items()}

    def _familiar(self, file: Found) -> Found:
        """Say the same with what is remembered: else a storm of files is in memory twice."""
        seen = self._seen.get(file.path)
        if seen is None or seen.signature != file.signature:
            return file
        return Found(seen.path, seen.signature, file.done, file.is_announced, seen.task)

    def _observation(self, file: Found, now: float) -> _Observation:
        seen = self._seen.get(file.path)
        if seen is None or seen.signature != file.signature:
            fidget = _fidget(seen, file.signature, now)
            changed = seen is not None
            seen = _Observation(
                file.path,
                file.signature,
                now,
                looks=0,
                changed=changed,
                task=file.task,
                fidget=fidget,
            )
        seen.looks += 1
        seen.is_announced = file.is_announced
        return seen

    def _is_ready(self, path: Path, now: float) -> bool:
        seen = self._seen[path]
        if not seen.is_announced:
            return False
        return self._is_quiet(seen, now) or self._only_fidgets(path, seen, now)

    def _only_fidgets(self, path: Path, seen: _Observation, now: float) -> bool:
        """Whether a file that is never quiet has had the same content all the time (F60)."""
        fidget = seen.fidget
        longest = max(self._patience.most, self._patience.settle)
        if fidget is None or now - fidget.since < longest or now < seen.not_before:
            return False
        if now - fidget.read_at < max(self._patience.settle, _SHORTEST_WAIT):
            return False
        before, fidget.digest, fidget.read_at = fidget.digest, _digest(path), now
        return before == fidget.digest != b""

    def _is_quiet(self, seen: _Observation, now: float) -> bool:
        patience = self._patience.settle if seen.signature.size else self._patience.empty
        return seen.looks >= 2 and now - seen.since >= patience and now >= seen.not_before

    def _is_whole(self, path: Path, now: float, probe: Probe) -> bool:
        seen = self._seen[path]
        if is_written := being_written(path):
            seen.lacks = ReasonCode.OPEN_WRITER
        elif now - seen.since < self._patience.cut:
            seen.lacks = _lacking(path, seen, probe, is_closed=is_written is False)
        else:
            seen.lacks = None
        return seen.lacks is None

    def observed(self, now: float, *, stopped: str | None = None) -> Iterator[Observed]:
        """Tell of each file why it has not been taken; `stopped` where none are taken for now."""
        for path, seen in self._seen.items():
            reason = self._reason(path, seen, now, stopped)
            yield Observed(seen.name, seen.signature.size, seen.since, reason)

    def _reason(
        self, path: Path, seen: _Observation, now: float, stopped: str | None
    ) -> ReasonCode:
        if seen.refusals:
            return ReasonCode.CANNOT_MOVE if may_be_read(path) else ReasonCode.NO_PERMISSION
        if not seen.is_announced:
            return ReasonCode.NO_DONE_FILE
        if seen.looks < 2 or now - seen.since < self._patience.settle:
            return ReasonCode.GROWING if seen.changed else ReasonCode.SETTLING
        if not self._is_quiet(seen, now):
            return ReasonCode.EMPTY
        return seen.lacks or ReasonCode(stopped or ReasonCode.READY)


def _lacking(path: Path, seen: _Observation, probe: Probe, *, is_closed: bool) -> ReasonCode | None:
    """What a quiet file lacks at its end. A packed one is inflated once for each of its states."""
    if not is_packed(path):
        return lacks_end(path, is_closed=is_closed) if seen.task else lacks_last_line(path)
    if seen.inflates is None:
        seen.inflates = probe.is_whole(path)
    if seen.inflates is None:
        return ReasonCode.READY  # as far as anybody knows; one of the next looks has time for it
    return None if seen.inflates else ReasonCode.GZIP_BROKEN


def _below(path: Path, task: str) -> str:
    return f"{task}/{path.name}" if task else path.name


def _fidget(seen: _Observation | None, now_is: Signature, now: float) -> _Fidget | None:
    """Carry on what is known of a file of which only the times have changed."""
    if seen is None:
        return None
    timeless = now_is._replace(mtime_ns=0, ctime_ns=0)
    if seen.signature._replace(mtime_ns=0, ctime_ns=0) != timeless:
        return None
    return seen.fidget or _Fidget(since=now)


def _digest(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            whole: Any = file  # a BinaryIO that can readinto(), as every real file can
            return hashlib.file_digest(whole, "sha256").digest()
    except OSError:
        return b""


def may_be_read(path: Path) -> bool:
    """Whether it can be opened: tried, for access() asks about another user than open() does."""
    try:
        open_plain(path).close()
    except OSError:
        return False
    return True
