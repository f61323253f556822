"""Asks a running daemon over its socket. The standard library's HTTP: a command must start fast."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from batchd.control.addresses import near
from batchd.control.messages import Refusal
from batchd.control.presence import presence
from batchd.core.errors import BatchdError
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from http.client import HTTPResponse

_SECONDS = 20.0  #: for an answer; the daemon gives itself half of it
_READ_SECONDS = 5.0  #: for one that the ledger would give, too: a daemon that hangs is left alone
_STARTING_SECONDS = 3.0  #: a daemon that has its lock listens soon after
_LOOK = 0.05


class NotListening(BatchdError):
    """Nobody can be asked."""

    def __init__(self, sentence: str, *, is_running: bool) -> None:
        super().__init__(sentence)
        self.is_running = is_running  #: a daemon is there, and can't be spoken to


class TooOld(NotListening):
    """A daemon is there, and was started before there was such a question."""

    def __init__(self) -> None:
        super().__init__(
            "the daemon is older than this command, and can't be asked that; restart it (systemctl"
            " restart batchd, where it is a service)",
            is_running=True,
        )


class Refused(BatchdError):
    """The daemon says no, and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.code = refusal.code


def ask(
    folders: Folders,
    method: str,
    *path: str,
    body: dict[str, Any] | None = None,
    sent: bytes | None = None,
    kind: Any = Any,
    seconds: float | None = None,
    **query: object,
) -> Any:
    """Ask /v1/PATH; return the answer, as a value of `kind`.

    `sent` is a file that is handed in. `seconds` is how long the answer may take, where that is not
    what most take. Raises `NotListening` (`TooOld` among them), `Refused`, and `PermissionError`
    where the socket is not for this user.
    """
    question = _Question(method, path, query, _content(body, sent))
    patience = seconds or (_READ_SECONDS if method == "GET" else _SECONDS)
    try:
        with _asked(folders, question, seconds=patience) as response:
            return _answer(response.status, response.read(), kind=kind)
    except Refused as refused:
        if refused.code == "not-found" and not _is_known(folders, question):
            raise TooOld from refused
        raise


def ask_lines(
    folders: Folders,
    method: str,
    *path: str,
    sent: bytes | None = None,
    kind: Any = Any,
    seconds: float,
    **query: object,
) -> Iterator[Any]:
    """Ask what is answered line by line; yield each as it comes. Raises what `ask` does."""
    question = _Question(method, path, query, _content(None, sent))
    with _asked(folders, question, seconds=seconds) as response:
        if response.status != HTTPStatus.OK:
            _answer(response.status, response.read(), kind=kind)
        for line in response:
            yield msgspec.json.decode(line, type=kind)


class _Question(NamedTuple):
    method: str
    path: tuple[str, ...]
    query: Mapping[str, object]
    content: bytes | None
    below: str = "/v1/"

    @property
    def target(self) -> str:
        path = self.below + "/".join(quote(part, safe="") for part in self.path)
        asked = {name: value for name, value in self.query.items() if value is not None}
        # A file's name may be no text at all: its bytes are sent as they are.
        return f"{path}?{urlencode(asked, errors='surrogateescape')}" if asked else path


def _content(body: dict[str, Any] | None, sent: bytes | None) -> bytes | None:
    return sent if body is None else msgspec.json.encode(body)


@contextmanager
def _asked(folders: Folders, question: _Question, *, seconds: float) -> Iterator[HTTPResponse]:
    """Ask, and have the answer for as long as it is read. Raises `NotListening`."""
    line = _connected(folders, seconds=seconds)
    # Imported once somebody is there: it takes a sixth of what a command's start does.
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("batchd")
    connection.sock = line
    try:
        headers = {"Connection": "close"}
        connection.request(question.method, question.target, question.content, headers)
        yield connection.getresponse()
    except (OSError, HTTPException, msgspec.DecodeError) as error:
        raise NotListening(
            f"the daemon went away before it answered ({error!r}); asking again does no harm",
            is_running=True,
        ) from error
    finally:
        connection.close()


def _is_known(folders: Folders, question: _Question) -> bool:
    """Whether the daemon has such a question at all: it describes what it can be asked."""
    described = _Question("GET", ("openapi.json",), {}, None, below="/")
    with _asked(folders, described, seconds=_READ_SECONDS) as response:
        paths = msgspec.json.decode(response.read(), type=_Described).paths
    return any(
        question.method.lower() in methods and _fits(path.split("/")[2:], question.path)
        for path, methods in paths.items()
    )


class _Described(msgspec.Struct):
    paths: dict[str, dict[str, Any]] = {}


def _fits(parts: Sequence[str], path: Sequence[str]) -> bool:
    """Whether a path is one of a route, whose braces stand for anything."""
    same = (part.startswith("{") or part == said for part, said in zip(parts, path, strict=False))
    return len(parts) == len(path) and all(same)


def _answer(status: int, content: bytes, *, kind: Any) -> Any:
    """Raises `msgspec.DecodeError` for half an answer."""
    if status == HTTPStatus.OK:
        return msgspec.json.decode(content, type=kind)
    try:
        refusal = msgspec.json.decode(content, type=Refusal)
    except ValueError:
        said = content[:200].decode(errors="replace").strip() or "nothing"
        refusal = Refusal(code="unavailable", sentence=f"the daemon answered {status}: {said}")
    raise Refused(refusal)


def _connected(folders: Folders, *, seconds: float) -> socket.socket:
    """Connect; to a daemon that is just starting, in a moment."""
    until = time.monotonic() + _STARTING_SECONDS
    while True:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(seconds)
        try:
            with near(folders.socket) as address:
                line.connect(address)
        except PermissionError:
            line.close()
            raise
        except OSError as error:
            line.close()
            if time.monotonic() > until or not presence(folders).is_running:
                raise _nobody(folders, error) from error
            time.sleep(_LOOK)
        else:
            return line


def _nobody(folders: Folders, error: OSError) -> NotListening:
    daemon = presence(folders)
    if not daemon.is_running:
        return NotListening("the daemon is not running", is_running=False)
    return NotListening(
        f"the daemon (process {daemon.pid}) does not answer at {folders.socket}"
        f" ({error.strerror or error}); its log says why: {folders.log}",
        is_running=True,
    )
