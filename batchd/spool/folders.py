"""Where everything lies below one root, and the lock that keeps a second daemon out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchd.core.errors import AlreadyRunning, ConfigError
from batchd.spool.placing import make_folder


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
        """Make what is missing, and try what every hand-over needs: a rename between them.

        Raises `ConfigError` where that can't be done; comparing device numbers would not tell,
        for a bind mount has the same one and refuses all the same.
        """
        try:
            for folder in (self.inbox / ".tmp", self.outbox, self.work):
                make_folder(folder)
            self._try_renames()
        except OSError as error:
            raise ConfigError(
                f"the folders below {self.root} can't be used: {error}. inbox/, outbox/ and var/"
                " must be writable and on one file system (setting folders.root)."
            ) from error

    def _try_renames(self) -> None:
        name = f".batchd-probe-{os.getpid()}"
        probe = self.inbox / ".tmp" / name
        probe.write_bytes(b"")
        for folder in (self.work, self.outbox):
            probe = probe.rename(folder / name)
        probe.unlink()

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
