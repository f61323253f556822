"""The words of an answer: a label, a JSON value, or an echo that can be recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from batchd.sandbox.digests import Draws
from batchd.sandbox.members import mapping
from batchd.sandbox.prompts import estimate_tokens, system_text, user_text
from batchd.sandbox.records import answer_for_records
from batchd.sandbox.schemas import satisfy
from batchd.sandbox.sentiment import label_for
from batchd.sandbox.strict import refusal_of
from batchd.sandbox.wire import ApiError

_ECHO = 80  # characters of the user's text that come back


@dataclass(frozen=True, slots=True)
class Text:
    """What the model says, and whether it was allowed to finish."""

    content: str
    tokens: int
    is_cut: bool


def compose(
    digest: str, messages: list[dict[str, Any]], wanted: dict[str, Any], limit: int | None
) -> Text:
    """`wanted` is a `json_schema` or `json_object` format; `limit` is in tokens."""
    asked = user_text(messages)
    if wanted.get("type") == "json_schema":
        content = _as_json(_value(wanted, digest, asked))
    elif wanted.get("type") == "json_object":
        content = _as_json({"answer": _sentence(digest, asked), "digest": digest[:8]})
    else:
        content = label_for(system_text(messages), asked) or _sentence(digest, asked)
    return _within(content, limit)


def _value(wanted: dict[str, Any], digest: str, asked: str) -> object:
    schema = mapping(wanted, "schema", "json_schema.schema")
    try:
        refusal = refusal_of(schema) if wanted.get("strict") else None
        if refusal is None:
            several = answer_for_records(schema, digest, asked)
            return several or satisfy(schema, Draws(digest), asked)
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # Only strict mode checks a schema before it is used: what trips over it is what is wrong.
        refusal = str(error)
    raise ApiError(
        400,
        f"Invalid schema for response_format '{wanted.get('name') or ''}': {refusal}",
        code="invalid_json_schema",
        param="response_format",
    )


def _sentence(digest: str, asked: str) -> str:
    return f"sandbox answer {digest[:8]}: {_echo(asked)}"


def _echo(asked: str) -> str:
    return " ".join(asked.split())[:_ECHO]


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _within(content: str, limit: int | None) -> Text:
    tokens = max(estimate_tokens(content), 1)
    if limit is None or tokens <= limit:
        return Text(content, tokens, is_cut=False)
    cut = content.encode()[: limit * 4].decode(errors="ignore")
    return Text(cut, limit, is_cut=True)
