"""Who holds the database, as far as the kernel tells."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

_SIDES = ("", "-wal", "-shm")  # in WAL mode the writer's lock lies on the -shm file
_FIELDS = 8

Place = tuple[int, int, int]  #: major, minor, inode


def holder(path: Path) -> str:
    """Name the process that holds a lock on the database, for a message."""
    try:
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux, or hidden
        table = ""
    others = [pid for pid in holders(table, _places(path)) if pid not in (0, -1, os.getpid())]
    return " and ".join(map(_name, others)) or "another process"


def holders(table: str, places: Container[Place]) -> list[int]:
    """Return who holds a write lock on one of the files, from the text of /proc/locks."""
    pids: dict[int, None] = {}
    for fields in map(str.split, table.splitlines()):
        # A line with "->" is somebody who waits.
        if len(fields) == _FIELDS and fields[3] == "WRITE" and _place(fields[5]) in places:
            pids[int(fields[4])] = None
    return list(pids)


def _place(text: str) -> Place | None:
    try:
        major, minor, inode = text.split(":")
        return int(major, 16), int(minor, 16), int(inode)
    except ValueError:
        return None


def _places(path: Path) -> set[Place]:
    found = set()
    for side in _SIDES:
        try:
            status = path.with_name(path.name + side).stat()
        except OSError:
            continue
        found.add((os.major(status.st_dev), os.minor(status.st_dev), status.st_ino))
    return found


def _name(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"{command} (process {pid})"
