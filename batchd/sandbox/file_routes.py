"""The routes of files: upload, list, retrieve, content, delete."""

from __future__ import annotations

from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchd.sandbox.creating import check_lifetime
from batchd.sandbox.dialects import Dialect
from batchd.sandbox.downloads import Download, refuse_at_first
from batchd.sandbox.files import RETENTION_SECONDS, StoredFile
from batchd.sandbox.members import invalid_value, missing, page_limit, unknown
from batchd.sandbox.uploads import Form, Received
from batchd.sandbox.wire import ApiError, Json, page_of
from batchd.sandbox.world import World

_OTHER_PURPOSES = ("assistants", "fine-tune", "vision", "user_data", "evals")  # than for batches
_MAX_PAGE = 10_000


async def upload(request: Request) -> Json:
    world: World = request.app.state.world
    form = Form(request.headers.get("content-type", ""), world.scratch())
    try:
        await form.read(request.stream())
        file = world.shelf.put(_accepted(form, world))
    except BaseException:  # whatever ended the upload: half a file is litter
        form.discard()
        raise
    return Json(world.dialect.show_file(file.as_object()))


def _accepted(form: Form, world: World) -> StoredFile:
    """The form as a file, or ApiError with what is wrong with it (reference B.4, L.2)."""
    dialect, purpose = world.dialect, form.fields.get("purpose")
    if not purpose:
        raise missing("purpose")
    purposes = (dialect.purpose, *_OTHER_PURPOSES)
    if purpose not in purposes:
        raise invalid_value("purpose", purpose, purposes)
    if form.file is None:
        raise missing("file")
    lifetime = _lifetime(form.fields, dialect)
    for_batches = purpose == dialect.purpose and not world.faults.lenient_uploads
    _check_content(form.file, for_batches=for_batches)
    return _stored(form.file, purpose, lifetime, dialect)


def _stored(received: Received, purpose: str, lifetime: int, dialect: Dialect) -> StoredFile:
    return StoredFile(
        received.filename,
        purpose,
        received.path,
        received.bytes,
        received.sha.hexdigest(),
        lifetime,
        id=dialect.new_file_id(),
    )


def _check_content(received: Received, *, for_batches: bool) -> None:
    if received.is_too_large:
        raise ApiError(400, "File is too large.")
    if not for_batches:
        return
    if PurePath(received.filename).suffix not in ("", ".jsonl"):
        raise _not_jsonl()
    if not received.is_utf8:
        raise ApiError(400, "Invalid file for Batch API. Must be utf-8 encoded")
    if not received.starts_with_json():
        raise _not_jsonl()


def _lifetime(fields: dict[str, str], dialect: Dialect) -> int:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return RETENTION_SECONDS
    if dialect.expiry is None:
        raise unknown("expires_after")
    number = int(seconds) if seconds and seconds.isdecimal() else None
    check_lifetime({"anchor": anchor, "seconds": number}, "expires_after", dialect.expiry)
    return number or RETENTION_SECONDS


def _not_jsonl() -> ApiError:
    message = "Invalid file format for Batch API. Must be .jsonl"
    return ApiError(400, message, extra={"detail": {"message": message, "code": None}})


async def list_files(request: Request) -> Json:
    world: World = request.app.state.world
    query = request.query_params
    limit = page_limit(query.get("limit"), default=_MAX_PAGE, most=_MAX_PAGE)
    files = [
        file
        for file in _ordered(world, query.get("order", "desc"))
        if query.get("purpose") in (None, file.purpose)
    ]
    if after := query.get("after"):
        files = files[files.index(world.shelf.get(after)) + 1 :]
    return Json(page_of(files, limit, world.dialect.show_file))


def _ordered(world: World, order: str) -> list[StoredFile]:
    if order not in ("asc", "desc"):
        raise invalid_value("order", order, ("asc", "desc"))
    files = world.shelf.present()
    return files if order == "asc" else files[::-1]


async def retrieve_file(request: Request) -> Json:
    world: World = request.app.state.world
    return Json(world.dialect.show_file(_file(request).as_object()))


async def delete_file(request: Request) -> Json:
    world: World = request.app.state.world
    file_id = request.path_params["id"]
    world.shelf.delete(file_id)
    return Json({"id": file_id, "object": "file", "deleted": True})


async def content(request: Request) -> Response:
    file = _file(request)
    refuse_at_first(file, request.app.state.world)
    return Download(file, request.app.state.world, request.headers)


def _file(request: Request) -> StoredFile:
    world: World = request.app.state.world
    return world.shelf.get(request.path_params["id"])


routes = [
    Route("/v1/files", upload, methods=["POST"]),
    Route("/v1/files", list_files, methods=["GET"]),
    Route("/v1/files/{id}", retrieve_file, methods=["GET"]),
    Route("/v1/files/{id}", delete_file, methods=["DELETE"]),
    Route("/v1/files/{id}/content", content, methods=["GET"]),
]
