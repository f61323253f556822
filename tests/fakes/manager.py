"""A service manager as systemd is one to us: a datagram socket, a watchdog, a restart."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CREDENTIALS = struct.Struct("3i")  #: pid, uid, gid


@dataclass(frozen=True)
class Heard:
    """One datagram."""

    at: float  #: monotonic
    pid: int  #: of the sender, by the kernel's word
    fields: dict[str, str]


class ServiceManager:
    """Listens in a thread of its own until it is closed; keeps all it has heard."""

    def __init__(self, address: str, *, watchdog_seconds: float | None = None) -> None:
        self.address, self.watchdog_seconds = address, watchdog_seconds
        self.heard: list[Heard] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(0.1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @classmethod
    def at(cls, folder: Path, **options: float) -> ServiceManager:
        """One with a socket in a folder."""
        return cls(str(folder / "notify"), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()

    @property
    def environment(self) -> dict[str, str | None]:
        """What a service is started with."""
        watchdog = self.watchdog_seconds
        period = {"WATCHDOG_USEC": str(round(watchdog * 1_000_000))} if watchdog else {}
        return {"NOTIFY_SOCKET": self.address, **period}

    def said(self, name: str, *, pid: int | None = None) -> list[str]:
        """The values of a field, in the order they came; of one process, where it is given."""
        those = [heard for heard in self.heard if pid in (None, heard.pid)]
        return [heard.fields[name] for heard in those if name in heard.fields]

    def silent_for(self, pid: int) -> float:
        """Seconds since a process was ready, or last said that it is alive."""
        signs = [
            heard.at
            for heard in self.heard
            if heard.pid == pid and heard.fields.keys() & {"READY", "WATCHDOG"}
        ]
        return time.monotonic() - signs[-1] if signs else 0.0

    def has_lost_patience(self, pid: int) -> bool:
        """Whether it is to be killed, as systemd would."""
        return self.watchdog_seconds is not None and self.silent_for(pid) > self.watchdog_seconds

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    4096, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except TimeoutError:
                continue
            pids = [_CREDENTIALS.unpack(content)[0] for _, _, content in ancillary]
            lines = (line.partition("=") for line in data.decode().splitlines())
            fields = {name: value for name, _, value in lines}
            self.heard.append(Heard(time.monotonic(), pids[0] if pids else os.getpid(), fields))
