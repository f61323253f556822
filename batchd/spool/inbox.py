"""What lies in the inbox, and which of it is finished. Only looks; taking is `work.py`'s.

The scan is the truth. A file is settled when batchd itself has seen it unchanged for long enough,
on the monotonic clock, in at least two looks: never by comparing a file's time with ours, for
copying programs set old times, and never by an event, for events get lost.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from batchd.spool.signature import Signature, has_writer

ENDINGS = (".jsonl", ".ndjson")

#: Names that programs give to what isn't finished, or isn't for us (reference, R53).
IGNORED = (
    "*.part", "*.partial", "*.crdownload", "*.filepart", "*.tmp", "*.download", "*.opdownload",
    "*~", "~$*", "*.swp", "4913", "~syncthing~*", "Thumbs.db", "desktop.ini", "@eaDir",
)  # fmt: skip

_TAIL = 1 << 20  #: bytes looked at for the last line; a longer last line is judged by its brace


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file in the inbox whose name is wanted."""

    path: Path
    signature: Signature


def is_wanted(name: str, ignored: Sequence[str] = ()) -> bool:
    """Whether a name is one to take. Judged before anything is stat'ed: ignored files cost little.

    Names that begin with a dot are nobody's (.tmp/, rsync's .x.AbC123, .syncthing.*).
    """
    if name.startswith(".") or not name.lower().endswith(ENDINGS):
        return False
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in (*IGNORED, *ignored))


def look(inbox: Path, ignored: Sequence[str] = ()) -> Iterator[Found]:
    """List the wanted files. Links, pipes, devices and folders are left alone, never opened."""
    with os.scandir(inbox) as entries:
        names = [entry.name for entry in entries if is_wanted(entry.name, ignored)]
    for name in names:
        path = inbox / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # gone since it was listed: its owner changed their mind
        if stat.S_ISREG(status.st_mode):
            yield Found(path, Signature.of(status))


@dataclass(slots=True)
class _Observation:
    signature: Signature
    since: float
    looks: int = 1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file is given before it is taken, in seconds without a change."""

    settle: float
    empty: float  #: a zero-byte file: Finder creates the name first, the content comes later
    cut: float  #: a file whose last line is not complete


class Settling:
    """Remembers how long each file has been as it is."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._seen: dict[Path, _Observation] = {}

    def observe(self, found: Iterable[Found], now: float) -> list[Found]:
        """Take one look's findings; return those that are settled, oldest first.

        `now` is monotonic seconds. What is no longer there is forgotten.
        """
        looked = {file.path: file for file in found}
        self._seen = {path: self._observation(file, now) for path, file in looked.items()}
        settled = [file for path, file in looked.items() if self._is_settled(path, now)]
        return sorted(settled, key=lambda file: (file.signature.mtime_ns, file.path))

    def next_look(self, now: float) -> float | None:
        """Seconds until a file may have settled; None when nothing is being waited for."""
        waits = [seen.since + self._patience.settle - now for seen in self._seen.values()]
        # A file past its quiet time that still waits (a writer, a cut line) is looked at
        # again after another one.
        return min((w if w > 0 else self._patience.settle for w in waits), default=None)

    @property
    def waiting(self) -> Mapping[Path, float]:
        """Since when (monotonic) each file has been as it is."""
        return {path: seen.since for path, seen in self._seen.items()}

    def _observation(self, file: Found, now: float) -> _Observation:
        seen = self._seen.get(file.path)
        if seen is None or seen.signature != file.signature:
            return _Observation(file.signature, since=now)
        seen.looks += 1
        return seen

    def _is_settled(self, path: Path, now: float) -> bool:
        seen, patience = self._seen[path], self._patience
        quiet = now - seen.since
        if seen.looks < 2 or quiet < patience.settle or has_writer(path):
            return False
        if not seen.signature.size:
            return quiet >= patience.empty
        return quiet >= patience.cut or ends_complete(path)


def ends_complete(path: Path) -> bool:
    """Whether the last line is whole: a cut line means a copy that has not ended."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            tail = file.read(_TAIL)
    except OSError:
        return True  # can't be told here; reading it will say why
    if tail.endswith(b"\n"):
        return True
    start = tail.rfind(b"\n") + 1
    if not start and size > _TAIL:
        return tail.rstrip().endswith(b"}")
    return _is_json(tail[start:])


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line.lstrip(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError):
        return not line.strip()
    return True
