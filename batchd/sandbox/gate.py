"""What every call passes: it is counted, its key is checked, and faults strike here."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchd.sandbox.connections import remember
from batchd.sandbox.http_faults import Struck, struck_by
from batchd.sandbox.wire import ApiError, new_request_id
from batchd.sandbox.world import World

_VERSION = "2020-10-01"  # the `openai-version` of every response, seen 2025-01


class Gate:
    """Around the whole application, directly below the server."""

    def __init__(self, app: ASGIApp, world: World, routes: Sequence[Route]) -> None:
        self._app = app
        self._world = world
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        remember(scope, send)
        self._world.calls[self._name(scope)] += 1
        started = time.perf_counter()
        try:
            await self._pass(scope, receive, _with_headers(send, started))
        except ClientDisconnect:
            return  # the caller has gone; nobody is left to answer

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._note(headers)
        if scope["path"].startswith("/sandbox/"):
            return await self._app(scope, receive, send)
        refusal = self._check_key(headers)
        rule = struck_by(self._world, self._name(scope))
        app = refusal.response() if refusal else self._app
        if rule is not None:
            app = Struck(app, rule, self._world)
        await app(scope, receive, send)

    def _name(self, scope: Scope) -> str:
        """`METHOD /route/template`, or the path itself where there is no such route."""
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return f"{scope['method']} {route.path}"
        return f"{scope['method']} {scope['path']}"

    def _note(self, headers: Headers) -> None:
        if key := headers.get("idempotency-key"):
            self._world.idempotency_keys.append(key)

    def _check_key(self, headers: Headers) -> ApiError | None:
        kind, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip()
        wanted = self._world.options.api_key
        if kind.lower() != "bearer" or not key:
            return ApiError(401, "You didn't provide an API key.", code="invalid_api_key")
        if wanted is None or key == wanted:
            return None
        return ApiError(
            401,
            f"Incorrect API key provided: {_masked(key)}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def _masked(key: str) -> str:
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 8 else "*" * len(key)


def _with_headers(send: Send, started: float) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = new_request_id()
            headers["openai-organization"] = "org-sandbox"
            headers["openai-version"] = _VERSION
            headers["openai-processing-ms"] = str(int((time.perf_counter() - started) * 1000) + 1)
        await send(message)

    return sending
