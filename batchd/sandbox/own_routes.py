"""The sandbox's own routes, which the API has not: its ledger and its faults."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from batchd.sandbox.batch_routes import json_object
from batchd.sandbox.faults import UnknownFault
from batchd.sandbox.ledger import ledger_of
from batchd.sandbox.wire import ApiError, Json
from batchd.sandbox.world import World


async def ledger(request: Request) -> Json:
    world: World = request.app.state.world
    return Json(ledger_of(world, executions=request.query_params.get("executions") != "0"))


async def show_faults(request: Request) -> Json:
    world: World = request.app.state.world
    return Json(msgspec.to_builtins(world.faults))


async def set_faults(request: Request) -> Json:
    world: World = request.app.state.world
    try:
        world.change_faults(await json_object(request))
    except UnknownFault as error:
        raise ApiError(400, str(error), code="unknown_fault") from error
    return await show_faults(request)


async def clear_faults(request: Request) -> Json:
    request.app.state.world.clear_faults()
    return await show_faults(request)


routes = [
    Route("/sandbox/ledger", ledger, methods=["GET"]),
    Route("/sandbox/faults", show_faults, methods=["GET"]),
    Route("/sandbox/faults", set_faults, methods=["PUT", "POST"]),
    Route("/sandbox/faults", clear_faults, methods=["DELETE"]),
]
