"""The listener: HTTP on one address, for as long as the daemon runs. It never harms the house."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import anyio
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from batchd.runtime.listener import Bounds, serve
from batchd.runtime.services import Services
from batchd.webhooks.doorbell import Doorbell

log = structlog.get_logger()

MOST_BYTES = 65_536  #: of a call; one is some 200 (reference G.1)
_BOUNDS = Bounds(at_once=32, longest=10.0)  # a call takes a fraction of a second
_AGAIN_SECONDS = 60.0  #: after a failure: somebody else has the port
_OFF_SECONDS = 60.0  #: between two looks at whether it is to listen now


async def listen(services: Services) -> None:
    """Listen until cancelled, where an address is set."""
    said = ""
    while True:
        if (address := services.settings.webhooks.listen) is None:
            await services.clock.wait(anyio.Event(), _OFF_SECONDS)
            continue
        try:
            await _listen_once(address, services)
        except OSError as error:
            if said != (said := str(error)):
                log.warning(
                    "webhooks.off", address=address, text=said, again_in_seconds=_AGAIN_SECONDS
                )
            await services.clock.wait(anyio.Event(), _AGAIN_SECONDS)


async def _listen_once(address: str, services: Services) -> None:
    doorbell = Doorbell(services)
    with listener_on(address) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(doorbell.keep)
            host, port = listener.getsockname()[:2]
            log.info("webhooks.listening", address=f"{host}:{port}")
            await serve(app_of(doorbell), listener, _BOUNDS)


def app_of(doorbell: Doorbell) -> Starlette:
    """Build what answers: one route, whatever the path, for a proxy may have put one in front."""

    async def ring(request: Request) -> Response:
        try:
            payload = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if payload is None:
            return PlainTextResponse("too large\n", status_code=413)
        status = doorbell.take(payload, request.headers)
        return PlainTextResponse("ok\n" if status == 200 else "no\n", status_code=status)

    return Starlette(routes=[Route("/{path:path}", ring, methods=["POST"])])


async def _body(request: Request) -> bytes | None:
    """Return the body; None for one that is larger than any that is meant for us."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


@contextlib.contextmanager
def listener_on(address: str) -> Iterator[socket.socket]:
    """Have a socket bound to `HOST:PORT`, or `[HOST]:PORT`; port 0 takes any that is free."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.setblocking(False)
        yield listener
