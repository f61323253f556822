"""Reads one line of an output or error file: whose it is, what it says, what it cost.

Shapes are as the API reference has them, with the tolerances of other servers: a line may lack
`id` or `error`, `error` may be `{}`, and `body` may be a JSON string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from batchd.core.contents import CHAT
from batchd.core.limits import canonical
from batchd.core.plain import Plain, read_plain
from batchd.core.usage import Usage, read_usage

_NULL = Raw(b"null")
_LONGEST_REASON = 1000  # of an error that is no object: some are whole pages of HTML
_NOTHING = (b"null", b"{}", b"[]", b'""', b"false")  # what says nothing, in one dialect or another


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    type: str | None = None


class _Response(msgspec.Struct):
    status_code: int | None = None
    body: Raw = _NULL


class _Line(msgspec.Struct):
    custom_id: str | int
    response: Raw = _NULL
    error: Raw = _NULL


class _Head(msgspec.Struct):
    """What bodies of every endpoint may have in common."""

    model: str | None = None
    usage: Raw = _NULL
    error: Raw = _NULL


class _Message(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: Raw = _NULL
    function_call: Raw = _NULL
    audio: Raw = _NULL


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
    output: list[Raw] = []
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
_decode_response = msgspec.json.Decoder(_Response | None, strict=False).decode
_decode_error = msgspec.json.Decoder(_Error | str).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_SHAPES = {
    CHAT: _Choices,
    "/v1/completions": _Choices,
    "/v1/responses": _Responses,
    "/v1/embeddings": _Embeddings,
    "/v1/moderations": _Results,
}
_decoders = {url: msgspec.json.Decoder(shape).decode for url, shape in _SHAPES.items()}


class Soft(StrEnum):
    """What an answer is that came with status 200 and is still not a plain one (reference H)."""

    TRUNCATED = "truncated"  #: cut off at its token limit
    FILTERED = "filtered"  #: the provider's content filter took some of it, or all
    REFUSAL = "refusal"  #: the model said no
    TOOL_CALL = "tool_call"  #: it asks for a tool, which nobody runs in a batch


_SOFTS = tuple(Soft)  #: looking at an enum's members takes longer than looking at an answer
_SOFT = {
    "length": Soft.TRUNCATED,
    "max_output_tokens": Soft.TRUNCATED,
    "incomplete": Soft.TRUNCATED,
    "content_filter": Soft.FILTERED,
    "tool_calls": Soft.TOOL_CALL,
    "function_call": Soft.TOOL_CALL,
}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One answered request. `code` is None for a success, and only then."""

    custom_id: str
    output: Any = None  #: str, Raw JSON, or None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    status: int | None = None  #: the line's HTTP status
    code: str | None = None  #: why it failed
    message: str | None = None
    soft: Soft | None = None  #: not a plain answer; some of these are failures as well
    raw: str | None = None  #: of a task: the text that came where an object was asked for


def read_answer(line: bytes, endpoint: str, *, truncated_fails: bool = False) -> Answer:
    """Read one line. Raises `msgspec.MsgspecError` where it is no answer line at all.

    `truncated_fails`: an answer that was cut off at its token limit is a failure.
    """
    if canonical(endpoint) == CHAT and (plain := read_plain(line)):
        return _as_answer(plain)
    return read_any_answer(line, endpoint, truncated_fails=truncated_fails)


def _as_answer(plain: Plain) -> Answer:
    body = plain.response.body
    usage, text = body.usage, body.choices[0].message.content
    into, out = usage.prompt_tokens_details, usage.completion_tokens_details
    took = Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        (into.cached_tokens or 0) if into else 0,
        (out.reasoning_tokens or 0) if out else 0,
    )
    return Answer(plain.custom_id, text, "stop", body.model, took, 200)


def read_any_answer(line: bytes, endpoint: str, *, truncated_fails: bool = False) -> Answer:
    """Read one line, whatever is in it. As `read_answer`, which is faster."""
    decoded = _decode_line(_mended(line))
    custom_id = str(decoded.custom_id)
    if error := _said(decoded.error):
        return _failure(custom_id, None, error)
    response = _decode_response(decoded.response) or _Response()
    body, status = _unwrapped(response.body), response.status_code
    if status is None or not 200 <= status < 300 or body == b"null":
        return _failure(custom_id, status, _error_of(body))
    return _success(custom_id, status, body, endpoint, truncated_fails=truncated_fails)


#: Any escape in a JSON string. Half of a UTF-16 pair is the only one that is six bytes long.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)"
)


def _mended(line: bytes) -> bytes:
    """Put U+FFFD for what is no text: a broken letter is no reason to pay for an answer twice."""
    try:
        msgspec.json.decode(line, type=Raw)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
    except msgspec.DecodeError:
        line = _ESCAPE.sub(lambda escape: rb"\ufffd" if len(escape[0]) == 6 else escape[0], line)
    return line if line.isascii() else line.decode("utf-8", errors="replace").encode()


def _unwrapped(body: Raw) -> bytes:
    """Some servers send the body as a JSON string (reference J.4). Whatever comes out is JSON."""
    raw = bytes(body)
    if not raw.startswith(b'"'):
        return raw
    return _on_one_line(msgspec.json.decode(raw, type=str)) or raw


def _on_one_line(text: str) -> bytes | None:
    """Return a JSON text without its line breaks, numbers untouched; None if it is no JSON."""
    try:
        return msgspec.json.format(text.encode(), indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _said(raw: Raw) -> _Error | None:
    """Return what an `error` member says, or None where it says nothing."""
    if bytes(raw) in _NOTHING:
        return None
    try:
        said = _decode_error(raw)
    except msgspec.ValidationError:
        return _Error(message=bytes(raw)[:_LONGEST_REASON].decode(errors="replace"))
    error = _Error(message=said[:_LONGEST_REASON]) if isinstance(said, str) else said
    return error if error.code or error.message or error.type else None


def _error_of(body: bytes) -> _Error:
    """Find the reason in a body: in its `error`, or beside it, as older vLLM has it."""
    return _said(_shape(body, _decode_head).error) or _said(Raw(body)) or _Error()


def _failure(custom_id: str, status: int | None, error: _Error) -> Answer:
    refused = status is not None and not 200 <= status < 300
    code = error.code or error.type or (f"http_{status}" if refused else "no_answer")
    message = error.message or "the provider gave no reason"
    return Answer(custom_id, status=status, code=str(code), message=message)


class _Content(NamedTuple):
    """What a body says, whatever its endpoint."""

    output: Any
    finish_reason: str | None = None
    soft: Soft | None = None
    failure: _Error | None = None


def _success(
    custom_id: str, status: int, body: bytes, endpoint: str, *, truncated_fails: bool
) -> Answer:
    shape = _shape(body, _decoders.get(canonical(endpoint), _decode_head))
    content = _content(shape, body)
    failure = _said(shape.error) or content.failure
    if failure is None and truncated_fails and content.soft is Soft.TRUNCATED:
        failure = _Error("truncated", "the answer was cut off at its token limit")
    return Answer(
        custom_id,
        output=None if failure else content.output,
        finish_reason=content.finish_reason,
        model=shape.model,
        usage=read_usage(shape.usage),
        status=status,
        code=str(failure.code or failure.type or "failed") if failure else None,
        message=(failure.message or "the provider gave no reason") if failure else None,
        soft=content.soft,
    )


def _shape(body: bytes, decode: Callable[[bytes], _Head]) -> _Head:
    """Understand what can be: what was paid for is handed on, rather than called a failure."""
    for attempt in (decode, _decode_head):
        try:
            return attempt(body)
        except msgspec.MsgspecError:
            continue
    return _Head()


def _content(shape: _Head, body: bytes) -> _Content:
    match shape:
        case _Choices(choices=[_, *_]):
            return _of_choices(shape)
        case _Responses():
            return _of_response(shape)
        case _Embeddings():
            return _Content(_of_embeddings(shape))
        case _Results():
            return _Content(shape.results)
        case _:
            return _Content(Raw(body))


def _of_choices(body: _Choices) -> _Content:
    outputs = [_of_choice(choice) for choice in body.choices]
    first = body.choices[0]
    if first.message.refusal and not any(outputs):
        return _refused(first.finish_reason, first.message.refusal)
    ends = [_SOFT.get(choice.finish_reason or "") for choice in body.choices]
    soft = next((end for end in _SOFTS if end in ends), None) if any(ends) else None
    if soft is None and any(map(_calls, body.choices)):
        soft = Soft.TOOL_CALL  # some servers end a call with "stop"
    output = outputs[0] if len(outputs) == 1 else outputs
    return _filtered(_Content(output, first.finish_reason, soft), is_empty=not any(outputs))


def _refused(finish_reason: str | None, words: str) -> _Content:
    return _Content(None, finish_reason, Soft.REFUSAL, _Error("refusal", words))


def _filtered(content: _Content, *, is_empty: bool) -> _Content:
    """Where the filter left nothing, there is no answer."""
    if content.soft is not Soft.FILTERED or not is_empty:
        return content
    why = "the provider's content filter left nothing of the answer"
    return content._replace(failure=_Error("content_filter", why))


def _of_choice(choice: _Choice) -> Any:
    if choice.text is not None:
        return choice.text
    message = choice.message
    if message.content:
        return message.content
    instead = (message.tool_calls, message.function_call, message.audio)
    return next((raw for raw in instead if bytes(raw) not in _NOTHING), message.content)


def _calls(choice: _Choice) -> bool:
    asked = (choice.message.tool_calls, choice.message.function_call)
    return any(bytes(raw) not in _NOTHING for raw in asked)


def _of_response(body: _Responses) -> _Content:
    reason = body.incomplete_details.reason if body.incomplete_details else None
    finish_reason = reason or ("stop" if body.status == "completed" else body.status)
    if body.status in ("failed", "cancelled"):
        failure = _Error(code=body.status, message=f"response {body.status}")
        return _Content(None, finish_reason, failure=failure)
    items = [(_item(raw), raw) for raw in body.output]
    text, refusal = _spoken([item for item, _ in items if item.type == "message"])
    if refusal and not text:
        return _refused(finish_reason, refusal)
    soft = _SOFT.get(reason or body.status or "") or _SOFT.get(body.status or "")
    calls = [raw for item, raw in items if item.type not in ("message", "reasoning")]
    if soft is None and any(item.type in _CALLS for item, _ in items):
        soft = Soft.TOOL_CALL
    output = text if text or not calls else calls
    return _filtered(_Content(output, finish_reason, soft), is_empty=not output)


#: What somebody would have to run; the other kinds of call the provider has run itself.
_CALLS = ("function_call", "custom_tool_call", "computer_call", "local_shell_call")


def _item(raw: Raw) -> _Item:
    try:
        return _decode_item(raw)
    except msgspec.ValidationError:
        return _Item()  # of a kind yet to come: handed on as it is


def _spoken(messages: list[_Item]) -> tuple[str, str | None]:
    """Return text and refusal of the final answer; where nothing is called that, of everything."""
    final = [item for item in messages if item.phase == "final_answer"] or messages
    parts = [part for item in final for part in item.content or []]
    text = "".join(part.text or "" for part in parts if part.type == "output_text")
    return text, next((part.refusal for part in parts if part.refusal), None)


def _of_embeddings(body: _Embeddings) -> Any:
    vectors = [v.embedding for v in sorted(body.data, key=lambda vector: vector.index)]
    return vectors[0] if len(vectors) == 1 else vectors


def parsed(output: Any) -> Any:
    """Take a JSON text as the value it is; a text that isn't JSON (cut off, say) stays a text."""
    if isinstance(output, list):
        return [parsed(one) for one in output]
    if not isinstance(output, str):
        return output
    # On one line, because it becomes part of one: models like to indent.
    value = _on_one_line(output)
    return output if value is None else Raw(value)
