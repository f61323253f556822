"""The answer that nearly every line is: one text, ended by itself, nothing beside it.

One typed decode of the whole line says all of it, in a fifth of the time that finding out what
else a line may be takes. Whatever is only a little otherwise is None here, and for `answers.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Empty = Annotated[list[int], Meta(max_length=0)] | None  # vLLM writes `"tool_calls": []`


class _Message(msgspec.Struct, gc=False):
    content: Annotated[str, Meta(min_length=1)]
    refusal: None = None
    tool_calls: _Empty = None
    function_call: None = None
    audio: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop"]
    text: None = None


class _Into(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Out(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Into | None = None
    completion_tokens_details: _Out | None = None
    input_tokens: None = None
    output_tokens: None = None
    input_tokens_details: None = None
    output_tokens_details: None = None


class _Body(msgspec.Struct, gc=False):
    model: str
    choices: tuple[_Choice]
    usage: _Usage
    error: None = None


class _Response(msgspec.Struct, gc=False):
    status_code: Literal[200]
    body: _Body


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    response: _Response
    error: None = None


class Plain(msgspec.Struct, frozen=True, gc=False):
    """What such a line says."""

    custom_id: str
    text: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int


_decode = msgspec.json.Decoder(_Line).decode


def read_plain(line: bytes) -> Plain | None:
    """Read a plain answer of /v1/chat/completions; None for any other line."""
    try:
        decoded = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    body = decoded.response.body
    usage = body.usage
    into, out = usage.prompt_tokens_details, usage.completion_tokens_details
    return Plain(
        decoded.custom_id,
        body.choices[0].message.content,
        body.model,
        usage.prompt_tokens,
        usage.completion_tokens,
        (into.cached_tokens or 0) if into else 0,
        (out.reasoning_tokens or 0) if out else 0,
    )
