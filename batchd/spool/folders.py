"""Where everything lies below one root, and the lock that keeps a second daemon out."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchd.core.errors import AlreadyRunning, ConfigError
from batchd.spool.placing import make_folder

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
PROBE = ".batchd-probe"  #: one name for ever: what a kill leaves, the next start takes away


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths of one root."""

    root: Path

    @property
    def inbox(self) -> Path:
        """People drop here."""
        return self.root / "inbox"

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
    def lock(self) -> Path:
        """Held while a daemon runs here."""
        return self.var / "lock"

    def prepare(self) -> None:
        """Make what is missing, and try to write everywhere.

        Raises `ConfigError` where that can't be done.
        """
        try:
            for folder in (self.inbox / ".tmp", self.outbox, self.work):
                make_folder(folder)
            self._write_everywhere()
        except OSError as error:
            if error.errno in _PASSING:
                raise  # time, or somebody who makes room: exit 74, and systemd tries again
            raise ConfigError(
                f"the folders below {self.root} can't be used: {error}. inbox/, outbox/ and var/"
                " must be writable (setting folders.root)."
            ) from error

    def _write_everywhere(self) -> None:
        for folder in (self.inbox / ".tmp", self.outbox, self.work):
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
        for here, there in ((self.inbox / ".tmp", self.work), (self.work, self.outbox)):
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
        make_folder(self.var)
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
