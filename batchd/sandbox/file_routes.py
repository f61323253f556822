"""The routes of files: upload, list, retrieve, content, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from batchd.sandbox.creating import check_lifetime, check_range
from batchd.sandbox.files import RETENTION_SECONDS, StoredFile
from batchd.sandbox.uploads import Form, Received
from batchd.sandbox.wire import ApiError, Json
from batchd.sandbox.world import World

_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_MAX_PAGE = 10_000
_CHUNK = 64 * 1024


async def upload(request: Request) -> Json:
    world: World = request.app.state.world
    form = Form(request.headers.get("content-type", ""), world.scratch())
    try:
        await form.read(request.stream())
        file = world.shelf.put(_accepted(form, world))
    except BaseException:  # whatever ended the upload: half a file is litter
        form.discard()
        raise
    return Json(file.as_object())


def _accepted(form: Form, world: World) -> StoredFile:
    """The form as a file, or ApiError with what is wrong with it (reference B.4, L.2)."""
    purpose = form.fields.get("purpose")
    if not purpose:
        raise _missing("purpose")
    if purpose not in _PURPOSES:
        words = ", ".join(f"'{each}'" for each in _PURPOSES)
        raise ApiError(
            400,
            f"Invalid value: '{purpose}'. Supported values are: {words}.",
            code="invalid_value",
            param="purpose",
        )
    if form.file is None:
        raise _missing("file")
    lifetime = _lifetime(form.fields)
    _check_content(form.file, purpose, lenient=world.faults.lenient_uploads)
    return _stored(form.file, purpose, lifetime)


def _stored(received: Received, purpose: str, lifetime: int) -> StoredFile:
    return StoredFile(
        received.filename,
        purpose,
        received.path,
        received.bytes,
        received.sha.hexdigest(),
        lifetime,
    )


def _check_content(received: Received, purpose: str, *, lenient: bool) -> None:
    if received.is_too_large:
        raise ApiError(400, "File is too large.")
    if purpose != "batch" or lenient:
        return
    if PurePath(received.filename).suffix not in ("", ".jsonl"):
        raise _not_jsonl()
    if not received.is_utf8:
        raise ApiError(400, "Invalid file for Batch API. Must be utf-8 encoded")
    if not received.starts_with_json():
        raise _not_jsonl()


def _lifetime(fields: dict[str, str]) -> int:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return RETENTION_SECONDS
    number = int(seconds) if seconds and seconds.isdecimal() else None
    check_lifetime({"anchor": anchor, "seconds": number}, "expires_after")
    return number or RETENTION_SECONDS


def _missing(name: str) -> ApiError:
    return ApiError(
        400,
        f"Missing required parameter: '{name}'.",
        code="missing_required_parameter",
        param=name,
    )


def _not_jsonl() -> ApiError:
    message = "Invalid file format for Batch API. Must be .jsonl"
    return ApiError(400, message, extra={"detail": {"message": message, "code": None}})


async def list_files(request: Request) -> Json:
    world: World = request.app.state.world
    query = request.query_params
    limit = int(query.get("limit", _MAX_PAGE))
    check_range("limit", limit, 1, _MAX_PAGE)
    files = [
        file
        for file in _ordered(world, query.get("order", "desc"))
        if query.get("purpose") in (None, file.purpose)
    ]
    if after := query.get("after"):
        files = files[files.index(world.shelf.get(after)) + 1 :]
    return Json(_page(files, limit))


def _ordered(world: World, order: str) -> list[StoredFile]:
    files = world.shelf.present()
    return files if order == "asc" else files[::-1]


def _page(files: list[StoredFile], limit: int) -> dict[str, object]:
    page = files[:limit]
    return {
        "object": "list",
        "data": [file.as_object() for file in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(files) > limit,
    }


async def retrieve_file(request: Request) -> Json:
    return Json(_file(request).as_object())


async def delete_file(request: Request) -> Json:
    world: World = request.app.state.world
    file_id = request.path_params["id"]
    world.shelf.delete(file_id)
    return Json({"id": file_id, "object": "file", "deleted": True})


async def content(request: Request) -> Response:
    file = _file(request)
    headers = {
        "content-disposition": f'attachment; filename="{file.filename}"',
        "content-length": str(file.bytes),
    }
    return StreamingResponse(_chunks(file), media_type="application/octet-stream", headers=headers)


async def _chunks(file: StoredFile) -> AsyncIterator[bytes]:
    with file.path.open("rb") as source:  # read ahead by the kernel: no wait
        while chunk := source.read(_CHUNK):
            yield chunk


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
