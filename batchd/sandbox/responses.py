"""`/v1/responses` (reference H)."""

from __future__ import annotations

from typing import Any

from batchd.sandbox.chat import CREATED
from batchd.sandbox.digests import digest_of
from batchd.sandbox.members import mapping, missing, number
from batchd.sandbox.models import snapshot
from batchd.sandbox.prompts import body_tokens, messages_of
from batchd.sandbox.texts import Text, compose


def response(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("input") is None and body.get("prompt") is None:
        raise missing("input")
    digest, limit = digest_of(body), number(body, "max_output_tokens", 1, 10_000_000)
    wanted = mapping(mapping(body, "text"), "format", "text.format")
    text = compose(digest, messages_of(body), wanted, limit)
    return {
        "id": f"resp_{digest[:48]}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if text.is_cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if text.is_cut else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": limit,
        "model": snapshot(body["model"]),
        "output": [_message(digest, text)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": wanted or {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage(body_tokens(messages_of(body)), text.tokens),
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def _message(digest: str, text: Text) -> dict[str, Any]:
    return {
        "id": f"msg_{digest[:48]}",
        "type": "message",
        "status": "incomplete" if text.is_cut else "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "annotations": [], "logprobs": [], "text": text.content}
        ],
    }


def _usage(asked: int, answered: int) -> dict[str, Any]:
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }
