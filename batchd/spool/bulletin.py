"""What a running daemon leaves for others to read: daemon.json, inbox.json, reload.json in var/.

Hints for people, never the truth: nothing of batchd's decides by them. They appear whole, but
without fsync, for after a power cut there is no daemon to speak of either.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_from_bytes

import msgspec

from batchd.core.reasons import ReasonCode
from batchd.spool.inbox import Observed
from batchd.spool.placing import PART

MOST_FILES = 5_000  #: named one by one; a storm of more is counted
_SECONDS_BETWEEN = 2.0  #: two writings of inbox.json, however much happens
_DAEMON, _INBOX, _RELOAD = "daemon.json", "inbox.json", "reload.json"


class DaemonSays(msgspec.Struct, frozen=True):
    """Who serves this root, and how it learns of new files."""

    pid: int
    started: float  #: seconds since the epoch
    version: str
    watcher: str  #: "inotify", or "scan only: " and why
    schema: int = 1


class FileSeen(msgspec.Struct, frozen=True):
    """One file that waits in the inbox, at the daemon's last look."""

    since: float  #: unchanged since; seconds since the epoch
    size: int
    reason: str


class InboxSeen(msgspec.Struct, frozen=True):
    """What the daemon saw. When: the file's own mtime, which each look sets anew."""

    pid: int
    files: Mapping[str, FileSeen]  #: by `name_in_json`
    counts: Mapping[str, int]  #: by reason, of all files, named above or not
    stopped: str | None = None  #: why nothing is taken, where that has a reason
    schema: int = 1


class ReloadSays(msgspec.Struct, frozen=True):
    """What came of reading the settings again."""

    pid: int
    asked: float  #: when reading the settings began, by the daemon's monotonic clock
    applied: tuple[str, ...] = ()  #: names of settings that hold now
    waiting: tuple[str, ...] = ()  #: names of settings that need a restart
    problem: str | None = None  #: why everything stays as it was
    schema: int = 1


T = TypeVar("T", DaemonSays, InboxSeen, ReloadSays)


def name_in_json(name: str) -> str:
    """Escape a name as in a URL: names are bytes, and JSON is text."""
    return quote_from_bytes(os.fsencode(name))


def post_daemon(var: Path, *, started: float, version: str, watcher: str) -> None:
    """Say who serves. At the start, when the lock is held."""
    _post(var / _DAEMON, DaemonSays(os.getpid(), started, version, watcher))


def post_watcher(var: Path, watcher: str) -> None:
    """Say how new files are learned of, when that has changed."""
    said = daemon_says(var)
    if said is not None and said.pid == os.getpid() and said.watcher != watcher:
        _post(var / _DAEMON, msgspec.structs.replace(said, watcher=watcher))


def post_inbox(
    var: Path, observed: Iterable[Observed], *, to_wall: float, stopped: str | None
) -> None:
    """Say what waits in the inbox: when that has changed, and at most every few seconds.

    `to_wall` turns the observations' monotonic time into seconds since the epoch. Where nothing
    waits, the file goes, and an idle daemon writes nothing.
    """
    path = var / _INBOX
    age = age_of(path)
    if age is not None and 0 <= age < _SECONDS_BETWEEN:
        return  # before anything is asked: a storm of files has many looks a second
    with contextlib.suppress(OSError):  # a full disk must not keep files from being taken
        _post_if_changed(path, _inbox_now(observed, to_wall=to_wall, stopped=stopped))


def _inbox_now(observed: Iterable[Observed], *, to_wall: float, stopped: str | None) -> InboxSeen:
    files, counts = dict[str, FileSeen](), Counter[str]()
    for one in observed:
        counts[str(one.reason)] += 1
        if len(files) < MOST_FILES:
            since = round(one.since + to_wall, 1)
            files[name_in_json(one.name)] = FileSeen(since, one.size, str(one.reason))
    return InboxSeen(os.getpid(), files, counts, stopped)


def _post_if_changed(path: Path, now: InboxSeen) -> None:
    before = _read(path, InboxSeen)
    if not now.counts:
        path.unlink(missing_ok=True)
    elif now == before:
        os.utime(path)  # it was looked at, and is as it was
    else:
        _post(path, now)


def post_reload(var: Path, said: ReloadSays) -> None:
    """Say what came of a reload."""
    _post(var / _RELOAD, said)


def reload_says(var: Path) -> ReloadSays | None:
    """Return what came of the last reload, which may have been another daemon's."""
    return _read(var / _RELOAD, ReloadSays)


def daemon_says(var: Path) -> DaemonSays | None:
    """Return what the last daemon said, which may be gone; None where there is no word."""
    return _read(var / _DAEMON, DaemonSays)


def inbox_seen(var: Path) -> tuple[InboxSeen, float] | None:
    """Return the last look at the inbox, and how many seconds ago it was."""
    path = var / _INBOX
    age, seen = age_of(path), _read(path, InboxSeen)
    return None if age is None or seen is None else (seen, max(age, 0.0))


def age_of(path: Path) -> float | None:
    """Seconds since a file was written; None where it isn't there."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def reason_in(text: str) -> ReasonCode | None:
    """Return the code a bulletin names; None for one that only another version knows."""
    try:
        return ReasonCode(text)
    except ValueError:
        return None


def _post(path: Path, said: msgspec.Struct) -> None:
    part = path.with_name(path.name + PART)
    part.write_bytes(msgspec.json.encode(said))
    part.replace(path)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError):  # absent, or not ours
        return None
