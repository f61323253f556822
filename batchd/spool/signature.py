"""Whether a file is still the file we looked at, and whether somebody is writing it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple


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


def is_plain(path: Path) -> bool:
    """Whether it is a regular file itself, and not a link to one."""
    return stat.S_ISREG(path.lstat().st_mode)


def has_writer(path: Path) -> bool:
    """Whether somebody surely has the file open for writing. "Cannot tell" is no."""
    return being_written(path) is True


def being_written(path: Path) -> bool | None:
    """Whether somebody has the file open for writing; None where the kernel does not say.

    A read lease is only given when nobody writes. It is not given for another user's file without
    CAP_LEASE, nor on file systems without leases.
    """
    try:
        with open_plain(path) as file:
            return _lease_is_refused(file.fileno())
    except OSError:
        return None


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading. What was swapped for a link or a pipe since it was looked at
    is an `OSError`: a pipe would keep us waiting for ever, a link could lead anywhere.
    """
    return open(path, "rb", opener=_plain_opener)


def _plain_opener(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "no regular file", path)


def _lease_is_refused(descriptor: int) -> bool | None:
    if not hasattr(fcntl, "F_SETLEASE"):
        return None  # macOS
    # A writer who comes in this very moment breaks the lease, and the kernel tells the holder by
    # SIGIO: whoever doesn't handle that is killed. SIGURG says the same, and is ignored.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    # Given back at once: a held lease would make the next writer wait.
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
