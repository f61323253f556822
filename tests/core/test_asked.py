"""Whether a request asked for JSON, so that its output is an object."""

import json
from typing import Any

import pytest

from batchd.core.asked import asked_for_json, custom_id_of, identity_of

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {}}}


def asked(url: str = CHAT, **body: Any) -> bool:
    line = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "m", **body}}
    return asked_for_json(json.dumps(line).encode())


@pytest.mark.parametrize("form", [SCHEMA, {"type": "json_object"}])
def test_json_is_asked_for_in_chat_and_in_responses(form: dict[str, Any]):
    assert asked(response_format=form)
    assert asked(RESPONSES, text={"format": form})
    assert asked(RESPONSES, text={"format": form, "verbosity": "low"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"response_format": {"type": "text"}},
        {"response_format": None},
        {"response_format": "b64_json"},
        {"text": {"format": {"type": "text"}}},
        {"text": {"format": None}},
        {"text": {}},
        {"text": "format"},
        {"messages": [{"content": "json_object"}]},
    ],
)
def test_everything_else_asks_for_a_text(body: dict[str, Any]):
    assert not asked(**body)


@pytest.mark.parametrize("line", [b"", b"{", b'{"body": []}', b'{"body": {"x": ' + b"[" * 100_000])
def test_what_is_no_request_asks_for_nothing(line: bytes):
    assert not asked_for_json(line)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"response_format": SCHEMA},
        {"text": {"format": {"type": "json_object"}}},
        {"response_format": {"type": "text"}},
        {"response_format": "b64_json"},
        {"response_format": 7, "text": "format"},
    ],
)
def test_who_it_is_and_what_it_asked_for_are_told_together(body: dict[str, Any]):
    line = json.dumps({"custom_id": "a b", "body": {"model": "m", **body}}).encode()
    assert (
        identity_of(line)
        == (custom_id_of(line), asked_for_json(line))
        == ("a b", "'json_" in str(body))
    )
