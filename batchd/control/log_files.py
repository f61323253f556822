"""The daemon's log as lines: the rotated files in order, from any place that was read to."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
from zlib import crc32

import msgspec

Facts = dict[str, Any]

_MOST_LINE = 1 << 20  #: bytes: what has no end after so many is no line of ours
_PAUSE_EVERY = 1 << 16  #: bytes between two looks at whether anybody still waits


class Line(NamedTuple):
    """One event as it was written, and what it says."""

    raw: bytes
    facts: Facts


class Position(NamedTuple):
    """Where somebody has read to: a file, whatever its name is by now, and so far in it."""

    device: int
    inode: int
    offset: int  #: of what it inflates to, where it is compressed
    first: int  #: a sum over its first line: a number is given anew, and a file may be emptied


def line_of(raw: bytes) -> Line | None:
    """Read a line; None for what is none: one may be cut by a full disk."""
    try:
        facts = msgspec.json.decode(raw)
    except ValueError:
        return None
    return Line(raw.rstrip(b"\n"), facts) if isinstance(facts, dict) else None


def is_there(log: Path) -> bool:
    """Whether anything was ever logged here."""
    return bool(_chain(log))


def lines_after(
    log: Path, at: Position | None, *, pause: Callable[[], None] = lambda: None
) -> Iterator[tuple[Line | None, Position]]:
    """Return each line after a place, the oldest first, and the place behind it.

    Never more than one is in memory. None stands for what is no line, and for the beginning of a
    file. A file may be put aside, cut or taken away between two calls.
    """
    with ExitStack() as files:
        for file, offset in _still_to_read(at, _opened(log, files), log):
            yield from _lines(file, offset, pause)


def _lines(
    file: IO[bytes], offset: int, pause: Callable[[], None]
) -> Iterator[tuple[Line | None, Position]]:
    place = Position(*_identity(file), offset, _first(file))
    yield None, place
    rested = offset
    file.seek(offset)
    while raw := file.readline(_MOST_LINE):
        if not raw.endswith(b"\n") and len(raw) < _MOST_LINE:
            return  # half written: it is whole at the next look
        offset += len(raw)
        if offset - rested > _PAUSE_EVERY:
            pause()
            rested = offset
        yield line_of(raw), place._replace(offset=offset)


def _first(file: IO[bytes]) -> int:
    file.seek(0)
    line = file.readline(_MOST_LINE)
    return crc32(line) if line.endswith(b"\n") else 0


def _still_to_read(
    at: Position | None, opened: Sequence[IO[bytes]], log: Path
) -> Iterator[tuple[IO[bytes], int]]:
    """Say from where on each is to be read.

    Where the one read last is gone, the one that is written to is; those put aside were read.
    """
    identities = [_identity(file) for file in opened]
    if at is None:
        yield from ((file, 0) for file in opened)
    elif (known := (at.device, at.inode)) in identities:
        current, *newer = opened[identities.index(known) :]
        yield current, max(at.offset, 0) if _first(current) == at.first else 0
        yield from ((file, 0) for file in newer)
    else:
        yield from ((file, 0) for file in opened[-1:] if Path(file.name) == log)


def _opened(log: Path, files: ExitStack) -> list[IO[bytes]]:
    """Open the files there are, the oldest first.

    Opened from the newest on: one that is put aside meanwhile is met twice, and none is missed.
    """
    found: dict[tuple[int, int], IO[bytes]] = {}
    for path in _chain(log):
        try:
            file = files.enter_context(_open(path))
        except FileNotFoundError:
            continue
        found.setdefault(_identity(file), file)
    return list(found.values())[::-1]


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def _chain(log: Path) -> list[Path]:
    """Name the files, the newest first: `batchd.jsonl`, `.1`, `.2` ..., perhaps compressed."""
    numbered = re.compile(rf"{re.escape(log.name)}(?:\.(\d+)(?:\.gz)?)?")
    try:
        names = [path.name for path in log.parent.iterdir()]
    except FileNotFoundError:
        return []
    ours = [found for name in names if (found := numbered.fullmatch(name))]
    return [log.parent / found[0] for found in sorted(ours, key=lambda found: int(found[1] or 0))]


def _identity(file: IO[bytes]) -> tuple[int, int]:
    there = os.fstat(file.fileno())
    return there.st_dev, there.st_ino
