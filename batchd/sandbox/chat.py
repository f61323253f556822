"""`/v1/chat/completions` and the older `/v1/completions` (reference H)."""

from __future__ import annotations

from typing import Any

from batchd.sandbox.digests import digest_of
from batchd.sandbox.members import invalid_type, mapping, missing, number
from batchd.sandbox.models import snapshot
from batchd.sandbox.prompts import body_tokens, estimate_tokens, messages_of
from batchd.sandbox.texts import Text, compose

CREATED = 1_760_000_000  # every answer's `created`: the same request has the same answer, always
_MANY = 10_000_000  # more tokens than any model writes


def chat(body: dict[str, Any]) -> dict[str, Any]:
    _check_messages(body.get("messages"))
    digest, count = digest_of(body), number(body, "n", 1, 128) or 1
    text = compose(digest, messages_of(body), _format(body), _limit(body))
    return {
        "id": f"chatcmpl-{digest[:29]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": snapshot(body["model"]),
        "choices": [_choice(text, index) for index in range(count)],
        "usage": chat_usage(body_tokens(body["messages"]), text.tokens * count),
        "service_tier": "default",
        "system_fingerprint": f"fp_{digest[:10]}",
    }


def _check_messages(given: object) -> None:
    if given is None:
        raise missing("messages")
    if not isinstance(given, list):
        raise invalid_type("messages", "an array", given)


def completion(body: dict[str, Any]) -> dict[str, Any]:
    digest = digest_of(body)
    prompt = body.get("prompt") or ""
    asked = prompt if isinstance(prompt, str) else str(prompt)
    limit = number(body, "max_tokens", 1, _MANY)
    text = compose(digest, [{"role": "user", "content": asked}], {}, limit)
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


def _limit(body: dict[str, Any]) -> int | None:
    newer = number(body, "max_completion_tokens", 1, _MANY)
    return newer or number(body, "max_tokens", 1, _MANY)


def _format(body: dict[str, Any]) -> dict[str, Any]:
    """`response_format`, with its schema where Responses has it."""
    given = mapping(body, "response_format")
    named = mapping(given, "json_schema", "response_format.json_schema")
    return {"type": given.get("type"), **named}


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
