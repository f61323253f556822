"""What a request asked for, as far as its answer is read by it: whose it is, and whether it is JSON."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from batchd.core.contents import NOTHING, Body


class _Format(msgspec.Struct):
    type: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Asked(msgspec.Struct):
    response_format: Raw = NOTHING
    text: Raw = NOTHING


class _AskedLine(msgspec.Struct):
    body: _Asked


class _Named(msgspec.Struct):
    custom_id: str


class _Line(_Named):
    body: _Asked


_decode_asked = msgspec.json.Decoder(_AskedLine).decode
_decode_named = msgspec.json.Decoder(_Named).decode
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_format = msgspec.json.Decoder(_Format | None).decode
_decode_text = msgspec.json.Decoder(_Text | None).decode
_JSON_FORMATS = ("json_schema", "json_object")


def custom_id_of(request_line: bytes) -> str:
    """Return the `custom_id` of a line that was checked."""
    return _decode_named(request_line).custom_id


def asked_for_json(request_line: bytes) -> bool:
    """Whether a request asked for a JSON answer, so that its output is an object, not a text."""
    try:
        body = _decode_asked(request_line).body
    except (msgspec.MsgspecError, RecursionError):
        return False
    return asks_for_json(body)


def identity_of(request_line: bytes) -> tuple[str, bool]:
    """Return the `custom_id` of a line that was checked, and what `asked_for_json` says of it."""
    line = _decode_line(request_line)
    return line.custom_id, asks_for_json(line.body)


def asks_for_json(body: Body | _Asked) -> bool:
    """As `asked_for_json`, of a body that was read."""
    if body.response_format is NOTHING and body.text is NOTHING:
        return False
    try:
        text, form = _decode_text(body.text), _decode_format(body.response_format)
    except msgspec.ValidationError:  # a format that is none: somebody's own server may know it
        return False
    form = form or (text.format if text else None)
    return form is not None and form.type in _JSON_FORMATS
