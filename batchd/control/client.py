"""Asks a running daemon over its socket. The standard library's HTTP: a command must start fast."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from batchd.control.addresses import near
from batchd.control.messages import Refusal
from batchd.control.presence import presence
from batchd.core.errors import BatchdError
from batchd.spool.folders import Folders

_SECONDS = 20.0  #: for an answer; the daemon gives itself half of it
_READ_SECONDS = 5.0  #: for one that the ledger would give, too: a daemon that hangs is left alone
_STARTING_SECONDS = 3.0  #: a daemon that has its lock listens soon after
_LOOK = 0.05


class NotListening(BatchdError):
    """Nobody can be asked."""

    def __init__(self, sentence: str, *, is_running: bool) -> None:
        super().__init__(sentence)
        self.is_running = is_running  #: a daemon is there, and can't be spoken to


class Refused(BatchdError):
    """The daemon says no, and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.code = refusal.code


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, *, seconds: float) -> None:
        super().__init__("batchd", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with near(self._path) as address:
            self.sock.connect(address)


def ask(
    folders: Folders,
    method: str,
    *path: str,
    body: dict[str, Any] | None = None,
    kind: Any = Any,
    **query: object,
) -> Any:
    """Ask /v1/PATH; return the answer, as a value of `kind`.

    Raises `NotListening`, `Refused`, and `PermissionError` where the socket is not for this user.
    """
    target = "/v1/" + "/".join(quote(part, safe="") for part in path)
    if asked := {name: value for name, value in query.items() if value is not None}:
        # A file's name may be no text at all: its bytes are sent as they are.
        target += f"?{urlencode(asked, errors='surrogateescape')}"
    connection = _connected(folders, seconds=_READ_SECONDS if method == "GET" else _SECONDS)
    try:
        return _answer(*_exchange(connection, method, target, body), kind=kind)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise NotListening(
            f"the daemon went away before it answered ({error!r}); asking again does no harm",
            is_running=True,
        ) from error
    finally:
        connection.close()


def _exchange(
    connection: _Connection, method: str, target: str, body: dict[str, Any] | None
) -> tuple[int, bytes]:
    sent = None if body is None else msgspec.json.encode(body)
    connection.request(method, target, sent, {"Connection": "close"})
    response = connection.getresponse()
    return response.status, response.read()


def _answer(status: int, content: bytes, *, kind: Any) -> Any:
    """Raises `msgspec.DecodeError` for half an answer."""
    if status == http.client.OK:
        return msgspec.json.decode(content, type=kind)
    try:
        refusal = msgspec.json.decode(content, type=Refusal)
    except ValueError:
        said = content[:200].decode(errors="replace").strip() or "nothing"
        refusal = Refusal(code="unavailable", sentence=f"the daemon answered {status}: {said}")
    raise Refused(refusal)


def _connected(folders: Folders, *, seconds: float) -> _Connection:
    """Connect; to a daemon that is just starting, in a moment."""
    until = time.monotonic() + _STARTING_SECONDS
    while True:
        connection = _Connection(folders.socket, seconds=seconds)
        try:
            connection.connect()
        except PermissionError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            if time.monotonic() > until or not presence(folders).is_running:
                raise _nobody(folders, error) from error
            time.sleep(_LOOK)
        else:
            return connection


def _nobody(folders: Folders, error: OSError) -> NotListening:
    daemon = presence(folders)
    if not daemon.is_running:
        return NotListening("the daemon is not running", is_running=False)
    return NotListening(
        f"the daemon (process {daemon.pid}) does not answer at {folders.socket}"
        f" ({error.strerror or error}); its log says why: {folders.log}",
        is_running=True,
    )
