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


class Plain(msgspec.Struct, gc=False):
    """Such a line: `response.body` has the text, the model, and what it took."""

    custom_id: str
    response: _Response
    error: None = None


_decode = msgspec.json.Decoder(Plain).decode


def read_plain(line: bytes) -> Plain | None:
    """Read a plain answer of /v1/chat/completions; None for any other line."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
