"""The service manager's doorbell (`sd_notify`): ready, reloading, status, alive, stopping. Knows no stage.

Where `$NOTIFY_SOCKET` is not set, nothing here happens. Our own few lines, since none of the
packages does what is needed: sdnotify loses what isn't latin-1 and says nothing, sd-notify knows no
abstract sockets, systemd-python and cysystemd bring or need libsystemd.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

_MICROSECONDS = 1_000_000
_LONGEST_STATUS = 500  #: characters; a datagram's end is somewhere behind that


@dataclass(frozen=True, slots=True)
class Manager:
    """Who started us and wants to know how we are; or nobody."""

    address: str | None = None  #: a path, or "@" and an abstract name
    watchdog_seconds: float | None = None  #: we are killed when nothing is heard for so long

    @classmethod
    def of(cls, environment: Mapping[str, str], *, pid: int) -> Manager:
        """Return who is named in the environment. The variables stay: we start nobody."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, _watchdog_seconds(environment, pid))

    def ready(self) -> None:
        """Say that files are taken from now on."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that settings are read again; `ready` ends it. Without the time, 253 waits in vain."""
        moment = time.monotonic_ns() // 1_000  # CLOCK_MONOTONIC, as sd_notify(3) asks
        self._tell("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def alive(self, status: str) -> None:
        """Say that there is progress, and how things stand."""
        self._tell("WATCHDOG=1" if self.watchdog_seconds else None, _status(status))

    def status(self, status: str) -> None:
        """Say how things stand, and nothing of progress."""
        self._tell(_status(status))

    def starting(self, *, seconds: float) -> None:
        """Ask for time before something long begins; the manager's own limit holds if longer."""
        self._tell("STATUS=starting", _extension(seconds))

    def stopping(self, *, seconds: float) -> None:
        """Say that we are about to leave, and how long that may take."""
        self._tell("STOPPING=1", _status("stopping"), _extension(seconds))

    def _tell(self, *fields: str | None) -> None:
        """Send it all in one datagram. A manager that doesn't listen costs us nothing."""
        if self.address is None:
            return
        message = "\n".join(field for field in fields if field)
        # An abstract name begins with a zero byte, which no environment variable can hold.
        name = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
                # Its queue may be full, and nobody here has time to wait until it isn't.
                ours.setblocking(False)
                ours.sendto(message.encode(), os.fsencode(name))
        except OSError as error:
            log.debug("systemd.unheard", text=str(error), message=message)


def _watchdog_seconds(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the period, where it is meant for this process."""
    meant_for = environment.get("WATCHDOG_PID", str(pid))
    period = environment.get("WATCHDOG_USEC", "")
    if meant_for != str(pid) or not (period.isascii() and period.isdigit()) or not int(period):
        return None
    return int(period) / _MICROSECONDS


def _status(text: str) -> str:
    # A line break would begin another field.
    return f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}"


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * _MICROSECONDS)}"


NOBODY = Manager()
