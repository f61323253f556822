"""How the API writes on the wire: JSON bodies, the error envelope, the ids."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from starlette.responses import Response

_ALNUM = string.ascii_letters + string.digits


class Json(Response):
    """A JSON body, encoded in one go."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class ApiError(Exception):
    """The API refuses a call: a status and the envelope `{"error": {...}}` (API reference B.4)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, object] = {
            "error": {"message": message, "type": kind, "param": param, "code": code},
            **(extra or {}),
        }

    def response(self) -> Json:
        return Json(self.body, status_code=self.status, headers=self.headers)


class Listed(Protocol):
    """What has an id and can be shown."""

    id: str

    def as_object(self) -> dict[str, object]: ...


def page_of(
    items: Sequence[Listed],
    limit: int,
    show: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, object]:
    """A cursor page with the first `limit` of what is left to list (reference D)."""
    page = items[:limit]
    return {
        "object": "list",
        "data": [show(item.as_object()) for item in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(items) > limit,
    }


def new_id(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(16)}"


def new_request_id() -> str:
    return new_id("req_")


def new_batch_id() -> str:
    """`batch_` and 32 hex digits, as seen 2025-01."""
    return new_id("batch_")


def new_file_id() -> str:
    """`file-` and 22 letters or digits, as seen 2025-01."""
    return "file-" + "".join(secrets.choice(_ALNUM) for _ in range(22))
