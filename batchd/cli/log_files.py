"""The daemon's log as lines: the rotated files in order, and what is added to the last one."""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

Facts = dict[str, Any]

_LOOK_SECONDS = 0.3  #: between two looks at whether something was added: people read slower
_AT_ONCE = 1 << 16  #: bytes
_MOST_LINE = 1 << 20  #: bytes: what has no end after so many is no line of ours


class Line(NamedTuple):
    """One event as it was written, and what it says."""

    raw: bytes
    facts: Facts


def line_of(raw: bytes) -> Line | None:
    """Read a line; None for what is none: the last one may be half written, or was cut by a full
    disk."""
    try:
        facts = msgspec.json.decode(raw)
    except ValueError:
        return None
    return Line(raw.rstrip(b"\n"), facts) if isinstance(facts, dict) else None


def is_there(log: Path) -> bool:
    """Whether anything was ever logged here."""
    return bool(_chain(log))


def written(log: Path) -> Iterator[Line]:
    """Return all lines there are, the oldest first, never more than one in memory."""
    with ExitStack() as files:
        for file in _opened(log, files):
            yield from _lines(file)


def followed(log: Path) -> Iterator[Line | None]:
    """Return all lines there are and will be; None at each look that brings nothing.

    The file may be put aside, cut, taken away, or not be there yet.
    """
    seen: tuple[int, int] | None = None
    while True:
        with ExitStack() as files:
            newer = _after(seen, _opened(log, files))
            for file in newer[:-1]:
                yield from _lines(file)
            if newer:
                seen = _identity(newer[-1])
                yield from _tail(newer[-1], log)
        yield None
        time.sleep(_LOOK_SECONDS)


def _tail(file: IO[bytes], log: Path) -> Iterator[Line | None]:
    """Read one file until it is no longer the one that is written to."""
    rest = b""
    while True:
        # Asked before reading: what was written before it was put aside is read after.
        is_replaced = _is_replaced(log, file)
        is_plain = not isinstance(file, gzip.GzipFile)
        if is_plain and os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)  # cut, as `logrotate copytruncate` does
            rest = b""
        while data := file.read(_AT_ONCE):
            *whole, rest = (rest + data).split(b"\n")
            yield from filter(None, map(line_of, whole))
            rest = rest if len(rest) < _MOST_LINE else b""
        if is_replaced:
            return
        yield None
        time.sleep(_LOOK_SECONDS)


def _lines(file: IO[bytes]) -> Iterator[Line]:
    while raw := file.readline(_MOST_LINE):
        if line := line_of(raw):
            yield line


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


def _after(seen: tuple[int, int] | None, opened: list[IO[bytes]]) -> list[IO[bytes]]:
    """Return those newer than the one read last; where that was taken away, the one at the end."""
    identities = [_identity(file) for file in opened]
    if seen in identities:
        return opened[identities.index(seen) + 1 :]
    return opened if seen is None else opened[-1:]


def _is_replaced(log: Path, file: IO[bytes]) -> bool:
    """Whether another file is there. While none is, ours is held: its number could be given anew."""
    try:
        there = log.stat()
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) != _identity(file)


def _identity(file: IO[bytes]) -> tuple[int, int]:
    there = os.fstat(file.fileno())
    return there.st_dev, there.st_ino
