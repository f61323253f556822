"""What one request line must be. The codes are the provider's own (API reference, "Batch",
errors of a failed batch); a line that breaks none of these is taken by its validation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from batchd.core import limits
from batchd.core.contents import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MODERATIONS,
    NOTHING,
    RESPONSES,
    Body,
    Weight,
    begins,
    elements_of,
)
from batchd.core.names import printable
from batchd.core.problems import Problem

_BLANKS = b" \t\r\n"
_LONGEST_ID = 512  # metadata's limit, and more than any known server allows (reference M.5)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)

#: What a body can't do without, one of each (reference B.3 and M.8). The Responses API goes on
#: from an earlier response, a conversation or a stored prompt without any new input.
_NEEDED = {
    CHAT: ("messages",),
    RESPONSES: ("input", "prompt", "previous_response_id", "conversation"),
    EMBEDDINGS: ("input",),
    COMPLETIONS: ("prompt",),
    MODERATIONS: ("input",),
    "/v1/images/generations": ("prompt",),
    "/v1/images/edits": ("prompt",),
    "/v1/videos": ("prompt",),
}


class Line(msgspec.Struct, gc=False):
    """A request line."""

    custom_id: str
    method: str
    url: str
    body: Body


class _PlainLine(Line, gc=False, forbid_unknown_fields=True):
    """One with nothing else in it: nearly every line, and the decoder says where one is not."""


_decode = msgspec.json.Decoder(Line).decode
_decode_plain = msgspec.json.Decoder(_PlainLine).decode


def read_line(line: bytes) -> tuple[Line, str | None]:
    """Decode a line; with the name of a member that does not belong there, if there is one.

    Raises `msgspec.MsgspecError` or `RecursionError`, and `diagnose` says why.
    """
    try:
        return _decode_plain(line), None
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.search(str(error))
        return _decode(line), printable(unknown[1][:80]) if unknown else None


def broken_rule(line: Line, endpoints: Mapping[str, str]) -> Problem | None:
    """Apply what a type can't say. `endpoints`: accepted urls, each with its canonical form."""
    kind = endpoints.get(line.url)
    if not line.custom_id:
        return _missing("custom_id", "it is an empty string")
    if line.method != "POST":
        return _not_post(line.method)
    if kind is None:
        return _no_endpoint(line.url, endpoints)
    if not line.body.model:
        return _no_model()
    if line.body.stream and kind in limits.STREAMING_ENDPOINTS:
        return _invalid(
            "stream",
            '"stream": true is not supported in a batch',
            'Remove "stream" from the body.',
            code="streaming_unsupported",
        )
    return _content_problem(line.body, kind)


def doubts(line: Line, kind: str, weight: Weight, room: int | None) -> Iterator[tuple[str, str]]:
    """What is worth a warning: code, and a detail. `room`: what the model's queue may hold."""
    custom_id = line.custom_id
    if not weight.is_limited:
        yield "no_output_limit", ""
    if len(custom_id) > _LONGEST_ID:
        yield "long_custom_id", f"{len(custom_id):,} characters"
    if not custom_id.isprintable() and _CONTROL.search(custom_id):
        yield "control_characters", printable(custom_id[:80])
    if kind == RESPONSES and line.body.background is True:
        yield "background_ignored", ""
    if kind == EMBEDDINGS and _has_empty(line.body.input):
        yield "empty_input", ""
    if room is not None and weight.tokens > room:
        yield "token_limit_exceeded", f"{weight.tokens:,} tokens; {room:,} may be queued"


def repeated_key(line: bytes) -> str | None:
    """Return a key that stands twice in one object of a line that can be read; None if none does.

    Takes three times as long as all else there is to a line: `batchd check` can afford it.
    """
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in pairs}
        if len(names) < len(pairs):
            found.extend(name for name in names if sum(n == name for n, _ in pairs) > 1)

    json.JSONDecoder(object_pairs_hook=look).decode(line.decode())
    return printable(found[0][:80]) if found else None


def _content_problem(body: Body, kind: str) -> Problem | None:
    needed = _NEEDED[kind]
    for name in needed:
        if _is_given(getattr(body, name), name):
            break
    else:
        return _no_content(needed)
    if kind == EMBEDDINGS:
        return _embedding_problem(body.input)
    if kind == "/v1/videos" and begins(body.input_reference) not in (b"{", b"n"):
        return _invalid(
            "input_reference",
            "\"body.input_reference\" is not an object; files can't be attached to a batch's line",
            'Upload it before, and write {"file_id": "..."} or {"image_url": "..."}.',
        )
    return None


def _is_given(content: Raw, name: str) -> bool:
    if content is NOTHING:
        return False
    view = memoryview(content)  # a long list is not copied to see that there is something in it
    start = bytes(view[:2])
    if start in (b"[{", b'["'):
        return True  # as nearly always
    first = start[:1]
    if first == b"[":
        inside = bytes(view[1:9]).strip(_BLANKS) or bytes(view[1:]).strip(_BLANKS)
        return inside != b"]"
    return name != "messages" and first != b"n"


def _embedding_problem(given: Raw) -> Problem | None:
    if begins(given) != b"[":
        return None
    elements = elements_of(given)
    kinds = {_kind_of(one) for one in elements}
    if len(kinds) > 1:
        return _invalid(
            "input",
            '"body.input" mixes texts and tokens',
            "Give one text, a list of texts, a list of tokens, or a list of such lists.",
        )
    if kinds != {"number"} and len(elements) > limits.MAX_INPUTS_PER_REQUEST:
        return _invalid(
            "input",
            f'"body.input" has {len(elements):,} texts; a request takes'
            f" {limits.MAX_INPUTS_PER_REQUEST:,}",
            "Spread them over several requests, each with its own custom_id.",
        )
    return None


def _kind_of(element: Raw) -> str:
    return {b'"': "text", b"[": "tokens"}.get(begins(element), "number")


def _has_empty(given: Raw) -> bool:
    text = bytes(given)
    if b'""' not in text or begins(given) != b"[":
        return text == b'""'
    return any(bytes(one) == b'""' for one in elements_of(given))  # or a text ended with a quote


def diagnose(line: bytes) -> list[Problem]:
    """Say why a line did not decode: the slow way, taken only for lines that are wrong."""
    try:
        value = msgspec.json.decode(line)
    except RecursionError:
        return [_not_json("it is nested too deeply")]
    except msgspec.DecodeError as error:
        return [_not_json(_in_words(line, error))]
    if not isinstance(value, dict):
        return [_not_json("it is not an object in braces")]
    problems = [p for name in ("custom_id", "method", "url", "body") if (p := _member(value, name))]
    return problems or _body_problems(value["body"])


def _member(value: dict[str, Any], name: str) -> Problem | None:
    if name not in value:
        return _missing(name, "it is not there")
    kind, word = (dict, "an object") if name == "body" else (str, "a string")
    return None if isinstance(value[name], kind) else _missing(name, f"it is not {word}")


def _body_problems(body: dict[str, Any]) -> list[Problem]:
    if not isinstance(body.get("model"), str):
        return [_no_model()]
    if not isinstance(body.get("stream"), bool | None):
        return [
            _invalid(
                "stream",
                '"stream" is neither true nor false',
                'Remove "stream" from the body.',
            )
        ]
    return [_not_json("it can't be read")]


def _in_words(line: bytes, error: msgspec.DecodeError) -> str:
    """Tell a cut line from a wrong escape; the decoder says "truncated" for both."""
    text = str(error).removeprefix("JSON is malformed: ")
    if "truncated" in text:
        return "it ends in the middle" if not line.endswith(b"}") else "a \\u escape is cut or lone"
    if b"}\r" in line:
        return "its lines end with CR alone; LF, or CR and LF, end a line"
    return text


def _not_json(why: str) -> Problem:
    return Problem(
        "invalid_json_line",
        f"this line is not valid JSON: {why}",
        "Each line must be one JSON object, complete on its own line.",
    )


def _missing(name: str, why: str) -> Problem:
    return Problem(
        "missing_required_parameter",
        f'missing required parameter "{name}": {why}',
        'A request line is {"custom_id": "...", "method": "POST", "url": "/v1/...", "body": {...}}.',
        param=name,
    )


def _not_post(method: str) -> Problem:
    return Problem(
        "invalid_method",
        f'"method" is "{printable(method[:20])}"; a batch only takes "POST"',
        'Write "method": "POST".',
        param="method",
    )


def _no_endpoint(url: str, endpoints: Mapping[str, str]) -> Problem:
    return Problem(
        "invalid_url",
        f'"url" is "{printable(url[:80])}", which is no endpoint of the Batch API',
        f"Use one of: {', '.join(endpoints)}.",
        param="url",
    )


def _no_model() -> Problem:
    return _invalid(
        "model",
        '"body.model" is missing or not a string',
        'Name the model in the body: "model": "gpt-4o-mini".',
    )


def _no_content(needed: tuple[str, ...]) -> Problem:
    name = needed[0]
    kind = {"messages": "a list of messages", "prompt": "a text"}.get(
        name, "a text, or a list of them"
    )
    return _invalid(
        name, f'"body.{name}" is missing or empty', f'Give the body its "{name}": {kind}.'
    )


def _invalid(name: str, message: str, remedy: str, *, code: str = "invalid_request") -> Problem:
    return Problem(code, message, remedy, param=f"body.{name}")
