"""`/v1/chat/completions` and the older `/v1/completions` (reference H)."""

from __future__ import annotations

from typing import Any

from batchd.sandbox.digests import digest_of
from batchd.sandbox.models import snapshot
from batchd.sandbox.prompts import body_tokens, estimate_tokens, messages_of
from batchd.sandbox.texts import Text, compose
from batchd.sandbox.wire import ApiError

CREATED = 1_760_000_000  # every answer's `created`: the same request has the same answer, always


def chat(body: dict[str, Any]) -> dict[str, Any]:
    messages = messages_of(body)
    if not messages:
        raise ApiError(
            400,
            "Missing required parameter: 'messages'.",
            code="missing_required_parameter",
            param="messages",
        )
    digest = digest_of(body)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    text = compose(digest, messages, _format(body), limit)
    return {
        "id": f"chatcmpl-{digest[:29]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": snapshot(body["model"]),
        "choices": [_choice(text, index) for index in range(body.get("n") or 1)],
        "usage": chat_usage(body_tokens(body["messages"]), text.tokens * (body.get("n") or 1)),
        "service_tier": "default",
        "system_fingerprint": f"fp_{digest[:10]}",
    }


def completion(body: dict[str, Any]) -> dict[str, Any]:
    digest = digest_of(body)
    prompt = body.get("prompt") or ""
    asked = prompt if isinstance(prompt, str) else str(prompt)
    text = compose(digest, [{"role": "user", "content": asked}], None, body.get("max_tokens"))
    reason = "length" if text.is_cut else "stop"
    return {
        "id": f"cmpl-{digest[:29]}",
        "object": "text_completion",
        "created": CREATED,
        "model": snapshot(body["model"]),
        "choices": [{"text": text.content, "index": 0, "logprobs": None, "finish_reason": reason}],
        "usage": chat_usage(estimate_tokens(asked), text.tokens),
    }


def chat_usage(prompt: int, answer: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _format(body: dict[str, Any]) -> dict[str, Any] | None:
    """`response_format`, with the schema where Responses has it."""
    given = body.get("response_format")
    if not isinstance(given, dict):
        return None
    return {"type": given.get("type"), "schema": (given.get("json_schema") or {}).get("schema")}


def _choice(text: Text, index: int) -> dict[str, Any]:
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": text.content,
            "refusal": None,
            "annotations": [],
        },
        "logprobs": None,
        "finish_reason": "length" if text.is_cut else "stop",
    }
