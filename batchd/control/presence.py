"""Whether a daemon serves the root, and what it left to be read."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from batchd.spool.bulletin import DaemonSays, InboxSeen, daemon_says, inbox_seen
from batchd.spool.folders import Folders

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Presence:
    """The daemon of a root, seen from outside."""

    is_running: bool
    pid: int | None = None
    since: float | None = None  #: seconds since the epoch
    version: str = _UNKNOWN
    watcher: str = _UNKNOWN  #: how it learns of new files
    inbox: InboxSeen | None = None  #: its last look, where something waited
    looked_ago: float | None = None  #: seconds since that


def presence(folders: Folders) -> Presence:
    """Look who is there. What an earlier daemon left is not believed."""
    pid = _holder(folders.lock)
    if pid is None:
        return Presence(is_running=False)
    said = daemon_says(folders.var)
    if said is None or (pid and said.pid != pid):
        said = DaemonSays(pid, folders.lock.stat().st_mtime, _UNKNOWN, _UNKNOWN)
    seen = inbox_seen(folders.var)
    if seen is not None and pid and seen[0].pid != pid:
        seen = None
    inbox, looked_ago = seen or (None, None)
    return Presence(
        is_running=True,
        pid=pid or None,
        since=said.started,
        version=said.version,
        watcher=said.watcher,
        inbox=inbox,
        looked_ago=looked_ago,
    )


def _holder(lock: Path) -> int | None:
    """The process that holds the lock: None for nobody, 0 for one that gave no id.

    The lock is asked for as a reader, for an instant, and never by its number alone: after a crash
    another process may have that. A daemon that starts in this very instant would be told that
    another one is there; it is a matter of microseconds, and it is then started again.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
