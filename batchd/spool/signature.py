"""Whether a file is still the file we looked at, and whether somebody is writing it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import NamedTuple


class Signature(NamedTuple):
    """What a file looks like from outside. `ctime_ns` can't be set back by a copying program."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    blocks: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Signature:
        """Take it from a stat result."""
        return cls(
            stat.st_dev,
            stat.st_ino,
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
            stat.st_blocks,
        )

    def as_text(self) -> str:
        """For the ledger."""
        return ":".join(map(str, self))


def signature(path: Path) -> Signature:
    """Look at a file without following a link."""
    return Signature.of(path.lstat())


def has_writer(path: Path) -> bool:
    """Whether somebody surely has the file open for writing. "Cannot tell" is no.

    A read lease is only given when nobody writes. For another user's file without CAP_LEASE, and
    on file systems without leases, the kernel doesn't say.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _lease_is_refused(descriptor)
    finally:
        os.close(descriptor)


def _lease_is_refused(descriptor: int) -> bool:
    if not hasattr(fcntl, "F_SETLEASE"):
        return False  # macOS
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    # Given back at once: a held lease would make the next writer wait.
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
