"""The routes of batches: create, list, retrieve, cancel."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from batchd.core.limits import LIST_PAGE
from batchd.sandbox.batches import Batch
from batchd.sandbox.creating import check_range, create
from batchd.sandbox.life import live
from batchd.sandbox.wire import ApiError, Json
from batchd.sandbox.world import World

_DEFAULT_PAGE = 20
_REFUSE_CANCEL = ("completed", "failed", "expired")


async def json_object(request: Request) -> dict[str, Any]:
    """The body of a call, which must be a JSON object."""
    try:
        value = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body of your request must be a JSON object.")
    return value


async def create_batch(request: Request) -> Json:
    world: World = request.app.state.world
    batch = create(world, await json_object(request))
    life = asyncio.create_task(live(batch, world), name=f"sandbox: {batch.id}")
    world.lives.add(life)
    life.add_done_callback(world.lives.discard)
    return Json(batch.as_object())


async def retrieve_batch(request: Request) -> Json:
    return Json(_batch(request).as_object())


async def cancel_batch(request: Request) -> Json:
    batch = _batch(request)
    if batch.status in _REFUSE_CANCEL:
        raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
    if batch.status not in ("cancelling", "cancelled"):
        batch.cancel()
    return Json(batch.as_object())


async def list_batches(request: Request) -> Json:
    world: World = request.app.state.world
    limit = _limit(request.query_params.get("limit"))
    batches = _after(world, request.query_params.get("after"))
    page = batches[:limit]
    return Json(
        {
            "object": "list",
            "data": [batch.as_object() for batch in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(batches) > limit,
        }
    )


def _batch(request: Request) -> Batch:
    world: World = request.app.state.world
    return world.book.get(request.path_params["id"])


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_PAGE
    try:
        limit = int(given)
    except ValueError as error:
        raise ApiError(
            400,
            "Invalid type for 'limit': expected an integer, but got a string instead.",
            code="invalid_type",
            param="limit",
        ) from error
    check_range("limit", limit, 1, LIST_PAGE)
    return limit


def _after(world: World, cursor: str | None) -> list[Batch]:
    """What follows the cursor, newest first. A batch that is not listed can still be a cursor."""
    batches = world.book.newest_first()
    if cursor is not None:
        batches = batches[batches.index(world.book.get(cursor)) + 1 :]
    return [batch for batch in batches if not (batch.hidden or batch.vanished)]


routes = [
    Route("/v1/batches", create_batch, methods=["POST"]),
    Route("/v1/batches", list_batches, methods=["GET"]),
    Route("/v1/batches/{id}", retrieve_batch, methods=["GET"]),
    Route("/v1/batches/{id}/cancel", cancel_batch, methods=["POST"]),
]
