"""What a request asks: its last user text, its system text, an estimate of its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from batchd.sandbox.members import invalid_type

_SYSTEM = ("system", "developer")


def estimate_tokens(text: str) -> int:
    """Bytes / 4, rounded up: near enough for text, and easy to check."""
    return -(-len(text.encode(errors="replace")) // 4)


def body_tokens(value: object) -> int:
    """The same of a whole value, as JSON."""
    return -(-len(msgspec.json.encode(value)) // 4)


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Chat's `messages`, or Responses' `input` brought into the same shape."""
    given = body.get("messages", body.get("input"))
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if given is not None and not isinstance(given, list):
        raise invalid_type("input", "an array", given)
    messages = [each for each in given or [] if isinstance(each, dict)]
    if isinstance(body.get("instructions"), str):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    return messages


def user_text(messages: list[dict[str, Any]]) -> str:
    texts = [_text(each) for each in messages if each.get("role") == "user"]
    return texts[-1] if texts else ""


def system_text(messages: list[dict[str, Any]]) -> str:
    return "\n".join(_text(each) for each in messages if each.get("role") in _SYSTEM)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(_part_texts(content))


def _part_texts(content: object) -> Iterator[str]:
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
