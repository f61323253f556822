"""The journal's own protocol: a field per fact, so that `journalctl BATCHD_JOB=7k3c9q` finds a life.

Our own few lines: structlog speaks no journald, and a package with libsystemd in it is much for a
datagram. https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batchd.logs.handlers import Quiet
from batchd.logs.rendering import PRIORITIES

SOCKET = Path("/run/systemd/journal/socket")
_PATIENCE = 0.05  # seconds for a journal that is busy; the line is in var/log in any case
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_LONGEST_NAME = 64  # systemd.journal-fields(7); a longer one loses its field
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)  # for a datagram (net.core.wmem_max)
_NOT_IN_A_NAME = re.compile(r"[^A-Z0-9_]")
_OWN_FIELDS = ("ts", "level", "event", "exception")  # told by others, or in the message


def is_there(address: Path = SOCKET) -> bool:
    """Whether a journal listens on this machine."""
    return address.is_socket()


class ToJournal(Quiet):
    """Takes lines as the log file has them, and hands over their fields."""

    def __init__(self, address: Path = SOCKET) -> None:
        super().__init__()
        self._address = os.fspath(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE)

    def write(self, line: str) -> None:
        """Send one entry, however large."""
        entry = b"".join(_field(name, value) for name, value in fields_of(json.loads(line)))
        try:
            # Not connected: a journal that is restarted is found again.
            self._socket.sendto(entry, self._address)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_as_file(entry)

    def _send_as_file(self, entry: bytes) -> None:
        """Hand over a file in memory that nobody can change any more: the journal insists."""
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        with os.fdopen(os.memfd_create("batchd-log", flags), "wb") as file:
            file.write(entry)
            file.flush()
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            # Not socket.send_fds: 3.11's forgets the address.
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file.fileno()))
            self._socket.sendmsg([], [rights], 0, self._address)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        super().close()


def fields_of(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """An event as the journal has it: a sentence for people, and each fact by itself."""
    facts = {name: _text(value) for name, value in event.items() if name not in _OWN_FIELDS}
    said = " ".join([str(event["event"]), *(f"{name}={value}" for name, value in facts.items())])
    exception = event.get("exception")
    yield "MESSAGE", f"{said}\n{exception}" if exception else said
    yield "PRIORITY", str(PRIORITIES.get(event["level"], 6))
    yield "SYSLOG_IDENTIFIER", "batchd"
    yield "SYSLOG_PID", str(os.getpid())
    yield "BATCHD_EVENT", str(event["event"])
    for name, value in facts.items():
        yield f"BATCHD_{_NOT_IN_A_NAME.sub('_', name.upper())}"[:_LONGEST_NAME], value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _field(name: str, value: str) -> bytes:
    """`NAME=value`, or with its length where a line break would begin another field."""
    content = value.encode("utf-8", "backslashreplace")
    if b"\n" not in content:
        return b"%s=%s\n" % (name.encode(), content)
    return b"%s\n%s%s\n" % (name.encode(), len(content).to_bytes(8, "little"), content)
