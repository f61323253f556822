"""Where a state directory must not lie: on a file system whose locks and fsyncs are promises."""

from __future__ import annotations

import os
import re
from pathlib import Path

from batchd.core.errors import ConfigError

#: Another machine's disk: locks may be nobody's, a shared -shm is impossible, and fsync may lie.
_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
_FUSE = "fuse"  # fuse, fuseblk, fuse.sshfs: nobody knows what is behind it
_OVERLAY = "overlay"
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def must_be_local(folder: Path, *, table: Path = _MOUNTS) -> None:
    """Raise `ConfigError` for a folder on a network file system or on FUSE."""
    kind = remote_kind(folder, table=table)
    if kind is not None:
        raise ConfigError(
            f"{folder} lies on a network file system ({kind}), where a database is not safe:"
            " locks and fsync are only promises there. Put folders.root on a local disk; drop"
            " folders on the network can be copied from and to by other programs."
        )


def remote_kind(folder: Path, *, table: Path = _MOUNTS) -> str | None:
    """Return the kind of a network file system that a folder lies on; None for a local one."""
    kind = _kind(folder, table)
    return kind if is_remote(kind) else None


def silent_kind(folder: Path, *, table: Path = _MOUNTS) -> str | None:
    """Return the kind of a file system that doesn't tell of every change; None for one that does.

    Another machine's writes, or those to a lower layer of an overlay, wake nobody here.
    """
    kind = _kind(folder, table)
    return kind if is_remote(kind) or kind == _OVERLAY else None


def _kind(folder: Path, table: Path) -> str:
    try:
        mounts = table.read_text(errors="surrogateescape")
    except OSError:  # not Linux: cannot tell
        return ""
    return file_system_of(os.path.realpath(folder), mounts)


def is_remote(kind: str) -> bool:
    """Whether a kind of file system is no place for a ledger."""
    return kind in _NETWORK or kind == _FUSE or kind.startswith((f"{_FUSE}.", f"{_FUSE}blk"))


def file_system_of(path: str, mounts: str) -> str:
    """Return the kind of file system that a real path lies on, from the text of mountinfo."""
    best, kind = "", ""
    for line in mounts.splitlines():
        place, _, source = line.partition(" - ")
        point = _unescaped(place.split(" ")[4])
        # Of two mounts on one point the later one is seen.
        if _is_below(path, point) and len(point) >= len(best):
            best, kind = point, source.split(" ")[0]
    return kind


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
