"""The control API as an ASGI application: what is asked where, and how a no is told.

It reads by the daemon's own connection to the ledger, and writes by `runtime/wishes.py` only. Every
request is bounded in size and time: whoever asks is a guest in a house that has work to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Address

from batchd.control import wishes
from batchd.control.desk import Desk
from batchd.control.door import Door, Refused
from batchd.control.house_desk import HouseDesk
from batchd.control.log_pages import NoCursor
from batchd.control.messages import Refusal
from batchd.control.openapi import STATUS, document
from batchd.control.places import NoSuchJob
from batchd.control.queries import Odd
from batchd.control.routes import ROUTES, Route
from batchd.control.task_desk import TaskDesk
from batchd.control.tasks import BrokenTask, NoSuchTask, in_words
from batchd.control.why import Ambiguous
from batchd.core.errors import BatchdError, BrokenInvariant
from batchd.core.names import printable
from batchd.core.records import BadTable
from batchd.core.templates import BadRecord
from batchd.runtime.listener import STAY
from batchd.runtime.services import Services

_LEAVE = 5.0  #: seconds that a connection may last longer than its answer takes

#: How a refusal that came as an exception is told.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (NoSuchJob, "not-found"),
    (NoSuchTask, "not-found"),
    (BrokenTask, "unusable"),
    (BadTable, "unusable"),
    (BadRecord, "unusable"),
    (Ambiguous, "ambiguous"),
    (wishes.Impossible, "impossible"),
    (Odd, "invalid"),
    (NoCursor, "invalid"),
    (BatchdError, "unavailable"),
    (OSError, "unavailable"),
    (TimeoutError, "unavailable"),
)


def build(services: Services) -> Starlette:
    """Make the application."""
    door = Door(services)
    desks = (Desk(services, door), TaskDesk(services, door), HouseDesk(services, door))
    addresses = [
        Address(route.path, bounded(_method(route, desks), route), methods=[route.method])
        for route in ROUTES
    ]
    addresses.append(Address("/openapi.json", _described, methods=["GET"]))
    refused: dict[Any, Any] = {HTTPException: _no_such_address}
    app = Starlette(routes=addresses, exception_handlers=refused)
    app.router.redirect_slashes = False
    return app


def _method(route: Route, desks: tuple[object, ...]) -> Callable[[Request], Awaitable[Any]]:
    """Find who answers a route: the method of its name."""
    (method,) = (getattr(desk, route.name) for desk in desks if hasattr(desk, route.name))
    answers: Callable[[Request], Awaitable[Any]] = method
    return answers


def bounded(
    ask: Callable[[Request], Awaitable[Any]], route: Route
) -> Callable[..., Awaitable[Response]]:
    """Answer within the time that a route has; what goes wrong on the way is a no with a word."""

    async def answered(request: Request) -> Response:
        try:
            if stay := request.scope.get(STAY):
                stay(route.seconds + _LEAVE)
            with anyio.fail_after(route.seconds):
                answer = await ask(request)
            return answer if isinstance(answer, Response) else _response(answer)
        except Refused as refused:
            return _refusal(refused.code, str(refused))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody hears it
        except BrokenInvariant:
            raise  # a mistake of ours is loud: uvicorn logs it, and answers 500
        except tuple(kind for kind, _ in _CODES) as error:
            code = next(code for kind, code in _CODES if isinstance(error, kind))
            return _refusal(code, _sentence(error))

    return answered


def _sentence(error: Exception) -> str:
    if isinstance(error, BadTable | BadRecord):
        return in_words(error)
    return str(error) or "it took too long; ask again"


def _response(answer: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer) + b"\n", status, media_type="application/json")


def _refusal(code: Any, sentence: str) -> Response:
    return _response(Refusal(code=code, sentence=printable(sentence)), STATUS[code])


async def _no_such_address(request: Request, _: Exception) -> Response:
    sentence = f"nothing is asked by {request.method} {request.url.path}; /openapi.json lists all"
    return _refusal("not-found", sentence)


async def _described(_: Request) -> Response:
    return _response(document(ROUTES))
