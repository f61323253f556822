"""The sandbox as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from batchd.sandbox import batch_routes, direct_routes, file_routes, own_routes
from batchd.sandbox.gate import Gate
from batchd.sandbox.wire import ApiError
from batchd.sandbox.world import World


def build(world: World) -> ASGIApp:
    routes = [
        *file_routes.routes,
        *batch_routes.routes,
        *direct_routes.routes,
        *own_routes.routes,
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={ApiError: _refusal, HTTPException: _no_such_route},
    )
    app.router.redirect_slashes = False
    app.state.world = world
    return Gate(app, world, routes)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"Invalid URL ({request.method} {request.url.path})"
    return ApiError(error.status_code, message).response()
