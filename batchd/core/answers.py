"""Reads one line of an output or error file: whose it is, what it says, what it cost.

Shapes are as the API reference has them, with the tolerances of other servers: a line may lack
`id` or `error`, `error` may be `{}`, and `body` may be a JSON string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from batchd.core.usage import Usage, read_usage

_NULL = Raw(b"null")


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    type: str | None = None


class _Response(msgspec.Struct):
    status_code: int | None = None
    body: Raw = _NULL


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class _Head(msgspec.Struct):
    """What bodies of every endpoint may have in common."""

    model: str | None = None
    usage: Raw = _NULL
    error: _Error | None = None


class _Message(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: Raw = _NULL


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    text: str | None = None  # /v1/completions
    finish_reason: str | None = None


class _Choices(_Head):
    choices: list[_Choice] = []


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    phase: str | None = None
    content: list[_Part] | None = None


class _Why(msgspec.Struct):
    reason: str | None = None


class _Responses(_Head):
    output: list[_Item] = []
    status: str | None = None
    incomplete_details: _Why | None = None


class _Vector(msgspec.Struct):
    embedding: Raw = _NULL
    index: int = 0


class _Embeddings(_Head):
    data: list[_Vector] = []


class _Results(_Head):
    results: Raw = _NULL


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_SHAPES = {
    "/v1/chat/completions": _Choices,
    "/v1/completions": _Choices,
    "/v1/responses": _Responses,
    "/v1/embeddings": _Embeddings,
    "/v1/moderations": _Results,
}
_decoders = {url: msgspec.json.Decoder(shape).decode for url, shape in _SHAPES.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request. `code` is None for a success, and only then."""

    custom_id: str
    output: Any = None  #: str, Raw JSON, or None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    status: int | None = None  #: the line's HTTP status
    code: str | None = None  #: why it failed
    message: str | None = None


def read_answer(line: bytes, endpoint: str) -> Answer:
    """Read one line. Raises `msgspec.MsgspecError` where it is no answer line at all."""
    decoded = _decode_line(line)
    if decoded.error is not None and (decoded.error.code or decoded.error.message):
        return _failure(decoded.custom_id, None, decoded.error)
    response = decoded.response or _Response()
    body = _unwrapped(response.body)
    if response.status_code is None or not 200 <= response.status_code < 300:
        return _failure(decoded.custom_id, response.status_code, _error_of(body))
    return _success(decoded.custom_id, response.status_code, body, endpoint)


def _unwrapped(body: Raw) -> bytes:
    """Some servers send the body as a JSON string (reference J.4)."""
    raw = bytes(body)
    return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw


def _error_of(body: bytes) -> _Error:
    try:
        return _decode_head(body).error or _Error()
    except msgspec.MsgspecError:
        return _Error()


def _failure(custom_id: str, status: int | None, error: _Error) -> Answer:
    code = error.code or error.type or (f"http_{status}" if status else "no_answer")
    message = error.message or "the provider gave no reason"
    return Answer(custom_id, status=status, code=str(code), message=message)


def _success(custom_id: str, status: int, body: bytes, endpoint: str) -> Answer:
    decode = _decoders.get(endpoint)
    try:
        shape = decode(body) if decode else _decode_head(body)
    except msgspec.MsgspecError:
        # Paid for and not understood: handed on as it is, rather than called a failure.
        return Answer(custom_id, output=Raw(body), status=status)
    output, finish_reason, failure = _content(shape, body)
    return Answer(
        custom_id,
        output=output,
        finish_reason=finish_reason,
        model=shape.model,
        usage=read_usage(shape.usage),
        status=status,
        code=str(failure.code) if failure else None,
        message=failure.message if failure else None,
    )


def _content(shape: _Head, body: bytes) -> tuple[Any, str | None, _Error | None]:
    match shape:
        case _Choices():
            return _of_choices(shape)
        case _Responses():
            return _of_response(shape)
        case _Embeddings():
            return _of_embeddings(shape), None, None
        case _Results():
            return shape.results, None, None
        case _:
            return Raw(body), None, None


def _of_choices(body: _Choices) -> tuple[Any, str | None, _Error | None]:
    outputs = [_of_choice(choice) for choice in body.choices]
    if not outputs:
        return None, None, None
    finish_reason = body.choices[0].finish_reason
    refusal = body.choices[0].message.refusal
    if refusal and outputs[0] is None:
        return None, finish_reason, _Error(code="refusal", message=refusal)
    return outputs[0] if len(outputs) == 1 else outputs, finish_reason, None


def _of_choice(choice: _Choice) -> Any:
    if choice.text is not None:
        return choice.text
    if choice.message.content is not None:
        return choice.message.content
    calls = choice.message.tool_calls
    return None if bytes(calls) == b"null" else calls


def _of_response(body: _Responses) -> tuple[Any, str | None, _Error | None]:
    if body.status == "failed":
        return None, body.status, body.error or _Error(code="failed", message="response failed")
    messages = [item for item in body.output if item.type == "message"]
    final = [item for item in messages if item.phase == "final_answer"] or messages
    parts = [part for item in final for part in item.content or []]
    text = "".join(part.text or "" for part in parts if part.type == "output_text")
    refusals = [part.refusal for part in parts if part.refusal]
    reason = body.incomplete_details.reason if body.incomplete_details else None
    if refusals and not text:
        return None, reason or body.status, _Error(code="refusal", message=refusals[0])
    return text, reason or ("stop" if body.status == "completed" else body.status), None


def _of_embeddings(body: _Embeddings) -> Any:
    vectors = [v.embedding for v in sorted(body.data, key=lambda vector: vector.index)]
    return vectors[0] if len(vectors) == 1 else vectors


class _Format(msgspec.Struct):
    type: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Asked(msgspec.Struct):
    response_format: _Format | None = None
    text: _Text | None = None


class _AskedLine(msgspec.Struct):
    body: _Asked


_decode_asked = msgspec.json.Decoder(_AskedLine).decode
_JSON_FORMATS = ("json_schema", "json_object")


def asked_for_json(request_line: bytes) -> bool:
    """Whether a request asked for a JSON answer, so that its output is an object, not a text."""
    try:
        body = _decode_asked(request_line).body
    except msgspec.MsgspecError:
        return False
    form = body.response_format or (body.text.format if body.text else None)
    return form is not None and form.type in _JSON_FORMATS


def parsed(output: Any) -> Any:
    """Take a JSON text as the value it is; a text that isn't JSON (cut off, say) stays a text."""
    if not isinstance(output, str):
        return output
    try:
        msgspec.json.decode(output)
    except (msgspec.MsgspecError, RecursionError):
        return output
    return Raw(output.encode())
