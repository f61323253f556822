"""What a request asked for, as far as its answer is read by it."""

from __future__ import annotations

import msgspec

from batchd.core.reading import custom_id_of


class _Format(msgspec.Struct):
    type: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Asked(msgspec.Struct):
    response_format: _Format | None = None
    text: _Text | None = None


class _AskedLine(msgspec.Struct):
    body: _Asked


class _Line(msgspec.Struct):
    custom_id: str
    body: _Asked


_decode_asked = msgspec.json.Decoder(_AskedLine).decode
_decode_line = msgspec.json.Decoder(_Line).decode
_JSON_FORMATS = ("json_schema", "json_object")


def asked_for_json(request_line: bytes) -> bool:
    """Whether a request asked for a JSON answer, so that its output is an object, not a text."""
    try:
        body = _decode_asked(request_line).body
    except (msgspec.MsgspecError, RecursionError):
        return False
    return _is_json(body)


def identity_of(request_line: bytes) -> tuple[str, bool]:
    """Return the `custom_id` of a line that was checked, and what `asked_for_json` says of it."""
    try:
        line = _decode_line(request_line)
    except msgspec.ValidationError:  # a format that is none: somebody's own server may know it
        return custom_id_of(request_line), False
    return line.custom_id, _is_json(line.body)


def _is_json(body: _Asked) -> bool:
    form = body.response_format or (body.text.format if body.text else None)
    return form is not None and form.type in _JSON_FORMATS
