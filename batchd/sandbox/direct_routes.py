"""The models themselves, called directly: the same answers as in a batch."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Route

from batchd.sandbox.answers import SERVED, answer_for
from batchd.sandbox.batch_routes import json_object
from batchd.sandbox.models import SNAPSHOTS, is_known
from batchd.sandbox.wire import ApiError, Json
from batchd.sandbox.world import World


async def answer(request: Request) -> Json:
    body = await json_object(request)
    _check_model(request.app.state.world, request.url.path, body.get("model"))
    if body.get("stream"):
        raise ApiError(
            400,
            "The sandbox does not stream.",
            code="unsupported_parameter",
            param="stream",
        )
    return Json(answer_for(request.url.path, body))


async def list_models(_request: Request) -> Json:
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "sandbox"} for name in SNAPSHOTS
    ]
    return Json({"object": "list", "data": models})


def _check_model(world: World, url: str, model: object) -> None:
    if model is None and url == "/v1/moderations":
        return  # the one endpoint with a default
    if not isinstance(model, str):
        raise ApiError(400, "you must provide a model parameter")
    if not is_known(model) or model in world.faults.unknown_models:
        raise ApiError(
            404,
            f"The model '{model}' does not exist or you do not have access to it.",
            code="model_not_found",
        )


routes = [Route(url, answer, methods=["POST"]) for url in SERVED]
routes.append(Route("/v1/models", list_models, methods=["GET"]))
