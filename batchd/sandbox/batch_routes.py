"""The routes of batches: create, list, retrieve, cancel."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from batchd.core.limits import LIST_PAGE
from batchd.sandbox.batches import Batch
from batchd.sandbox.creating import create
from batchd.sandbox.life import live
from batchd.sandbox.members import page_limit
from batchd.sandbox.wire import ApiError, Json, page_of
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
    life.add_done_callback(_be_loud)
    return Json(world.dialect.show_created(batch.as_object()))


async def retrieve_batch(request: Request) -> Json:
    world: World = request.app.state.world
    return Json(world.dialect.show_batch(_batch(request).as_object()))


async def cancel_batch(request: Request) -> Json:
    world: World = request.app.state.world
    batch = _batch(request)
    if batch.status in _REFUSE_CANCEL:
        raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
    if batch.status not in ("cancelling", "cancelled"):
        batch.cancel()
    return Json(world.dialect.show_batch(batch.as_object()))


async def list_batches(request: Request) -> Json:
    world: World = request.app.state.world
    query = request.query_params
    limit = page_limit(query.get("limit"), default=_DEFAULT_PAGE, most=LIST_PAGE)
    listed, show = _listed(world, query.get("after")), world.dialect.show_batch
    if world.dialect.bare_lists:
        return Json([show(batch.as_object()) for batch in listed])
    return Json(page_of(listed, limit, show))


def _batch(request: Request) -> Batch:
    return _find(request.app.state.world, request.path_params["id"])


def _find(world: World, batch_id: str) -> Batch:
    batch = world.book.find(batch_id)
    if batch is None or _has_vanished(world, batch):
        raise ApiError(404, f"No batch found with id '{batch_id}'.")
    return batch


def _listed(world: World, after: str | None) -> list[Batch]:
    """What follows the cursor, newest first. A batch that is not listed can still be a cursor."""
    batches = world.book.newest_first()
    if after is not None:
        batches = batches[batches.index(_find(world, after)) + 1 :]
    return [batch for batch in batches if batch.is_listed and not _has_vanished(world, batch)]


def _has_vanished(world: World, batch: Batch) -> bool:
    vanish = world.faults.vanish
    return vanish if isinstance(vanish, bool) else batch.id in vanish


def _be_loud(life: asyncio.Task[None]) -> None:
    """A life that ended with an exception is a bug of ours: hand it to the loop's handler."""
    if not life.cancelled():
        life.result()


routes = [
    Route("/v1/batches", create_batch, methods=["POST"]),
    Route("/v1/batches", list_batches, methods=["GET"]),
    Route("/v1/batches/{id}", retrieve_batch, methods=["GET"]),
    Route("/v1/batches/{id}/cancel", cancel_batch, methods=["POST"]),
]
