"""What a request asked for, as far as its answer is read by it."""

from __future__ import annotations

import msgspec


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
    except (msgspec.MsgspecError, RecursionError):
        return False
    form = body.response_format or (body.text.format if body.text else None)
    return form is not None and form.type in _JSON_FORMATS
