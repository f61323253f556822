"""Where everything lies below one root, and the lock that keeps a second daemon out."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchd.core.errors import AlreadyRunning, ConfigError
from batchd.spool.placing import make_folder

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
_STRANGERS = 0o027  #: a umask: the group may read what batchd makes, the world nothing (R60)
_DROPPED_BY_GROUP = 0o770  #: of inbox/: whoever is in its group may drop files
_READ_BY_GROUP = 0o750  #: of all others
PROBE = ".batchd-probe"  #: one name for ever: what a kill leaves, the next start takes away


def keep_strangers_out() -> None:
    """Let the group read whatever this process makes, and nobody else, whatever its umask was.

    One umask for the process instead of a chmod for each file: it is right from the first moment,
    and where the operator has set a default ACL the kernel goes by that instead.
    """
    os.umask(_STRANGERS)


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths of one root."""

    root: Path

    @property
    def inbox(self) -> Path:
        """People drop here."""
        return self.root / "inbox"

    @property
    def staging(self) -> Path:
        """Programs write here, and rename into the inbox."""
        return self.inbox / ".tmp"

    @property
    def outbox(self) -> Path:
        """Finished folders appear here."""
        return self.root / "outbox"

    @property
    def var(self) -> Path:
        """Batchd's own."""
        return self.root / "var"

    @property
    def work(self) -> Path:
        """One folder per open job."""
        return self.var / "work"

    @property
    def database(self) -> Path:
        """The ledger."""
        return self.var / "batchd.db"

    @property
    def log(self) -> Path:
        """The rotated log."""
        return self.var / "log" / "batchd.jsonl"

    @property
    def socket(self) -> Path:
        """Where a running daemon listens to its operator."""
        return self.var / "batchd.sock"

    @property
    def lock(self) -> Path:
        """Held while a daemon runs here."""
        return self.var / "lock"

    def must_be_there(self) -> None:
        """Raise `ConfigError` where one is missing: its disk may not be mounted."""
        missing = [folder for folder in (self.inbox, self.outbox) if not folder.is_dir()]
        if missing:
            names = ", ".join(map(str, missing))
            raise ConfigError(
                f"missing: {names}. Is the disk mounted? Otherwise make what is missing (batchd"
                " init), or set folders.create = true"
            )

    def prepare(self) -> None:
        """Make what is missing, and try to write everywhere.

        Raises `ConfigError` where that can't be done.
        """
        try:
            for folder in (self.inbox, self.staging):
                _make(folder, _DROPPED_BY_GROUP)
            for folder in (self.outbox, self.var, self.work):
                _make(folder, _READ_BY_GROUP)
            self._write_everywhere()
        except OSError as error:
            if error.errno in _PASSING:
                raise  # time, or somebody who makes room: exit 74, and systemd tries again
            raise ConfigError(
                f"the folders below {self.root} can't be used: {error}. inbox/, outbox/ and var/"
                " must be writable (setting folders.root)."
            ) from error

    def _write_everywhere(self) -> None:
        for folder in (self.staging, self.outbox, self.work):
            probe = folder / PROBE
            probe.write_bytes(b"")
            probe.unlink()

    def crossed(self) -> tuple[Path, Path] | None:
        """Return two folders between which nothing can be renamed; None where all is well.

        Tried, not computed: a bind mount has the same device number, and refuses all the same.
        """
        name = PROBE
        for folder in (self.work, self.outbox):
            (folder / name).unlink(missing_ok=True)
        for here, there in ((self.staging, self.work), (self.work, self.outbox)):
            (here / name).write_bytes(b"")
            try:
                (here / name).rename(there / name)
                (there / name).unlink()
            except OSError as error:
                (here / name).unlink()
                if error.errno != errno.EXDEV:
                    raise
                return here, there
        return None

    def free_bytes(self) -> int:
        """Return the room on the disk of var/ that we may use."""
        status = os.statvfs(self.var)
        return status.f_bavail * status.f_frsize

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second daemon out. Raises `AlreadyRunning` with the other's process id."""
        _make(self.var, _READ_BY_GROUP)
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)  # the lock goes with it, after kill -9 too

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunning(
                f"another batchd (process {other}) already serves {self.root}"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def make_drop_folder(folder: Path) -> None:
    """Make a folder that whoever may drop files into the inbox may drop files into."""
    _make(folder, _DROPPED_BY_GROUP)


def _make(folder: Path, mode: int) -> None:
    """Make a folder with this mode, and let what comes into it have its group. What is there stays
    as its operator made it.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    before = os.umask(0o777 & ~mode)
    try:
        make_folder(folder)
    finally:
        os.umask(before)
    with contextlib.suppress(PermissionError):  # systemd's RestrictSUIDSGID forbids the bit
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_ISGID)
