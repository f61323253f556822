"""The answer to a request: a pure function of its url and body, so that a test can compute it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchd.sandbox.chat import chat, completion
from batchd.sandbox.embeddings import embeddings
from batchd.sandbox.moderations import moderations
from batchd.sandbox.responses import response
from batchd.sandbox.wire import ApiError

_BY_URL: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": response,
    "/v1/embeddings": embeddings,
    "/v1/completions": completion,
    "/v1/moderations": moderations,
}
SERVED = tuple(_BY_URL)


def answer_for(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body of a 200. Raises ApiError where the model would refuse the request."""
    return _BY_URL[url](body)


def outcome_of(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The same with a status, refusals included: what a line of a batch carries."""
    try:
        return 200, answer_for(url, body)
    except ApiError as refusal:
        return refusal.status, refusal.body
