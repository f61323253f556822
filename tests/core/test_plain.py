"""The fast way and the thorough one say the same of every line that the fast one takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchd.core.answers import Answer, read_answer, read_any_answer
from batchd.core.plain import read_plain
from batchd.core.usage import Usage

CHAT = "/v1/chat/completions"


def a_line(**changes: Any) -> dict[str, Any]:
    """A line as the provider writes it; `changes` by path: `body__usage={...}`."""
    line: dict[str, Any] = {
        "id": "batch_req_1",
        "custom_id": "a",
        "response": {
            "status_code": 200,
            "request_id": "req_1",
            "body": {
                "id": "chatcmpl-1",
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": "Yes: é \ud83d\ude00",
                            "refusal": None,
                        },
                        "logprobs": None,
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "completion_tokens_details": {"reasoning_tokens": 1},
                },
            },
        },
        "error": None,
    }
    for path, value in changes.items():
        *way, last = path.split("__")
        at: Any = line
        for step in way:
            at = at[int(step) if step.isdigit() else step]
        at[last] = value
    return line


BODY = "response__body"
MESSAGE = f"{BODY}__choices__0__message"
#: What is plain, and every way in which a line may be a little otherwise.
PLAIN: list[dict[str, Any]] = [
    {},
    {"custom_id": ""},
    {f"{MESSAGE}__tool_calls": []},
    {f"{MESSAGE}__tool_calls": None},
    {f"{MESSAGE}__annotations": [{"type": "url"}]},
    {f"{BODY}__usage__prompt_tokens_details": None},
    {f"{BODY}__usage__completion_tokens_details": {}},
    {f"{BODY}__usage__prompt_tokens": 0},
    {f"{BODY}__usage__completion_tokens": -1},
    {f"{BODY}__something": {"new": [1, 2]}},
]
OTHERWISE: list[dict[str, Any]] = [
    {"custom_id": 7},
    {"error": {"code": "server_error", "message": "no"}},
    {"error": {}},
    {"response": None},
    {"response__status_code": 201},
    {"response__status_code": "200"},
    {"response__status_code": 429},
    {"response__body": json.dumps(a_line()["response"]["body"])},
    {f"{BODY}__error": {"message": "no"}},
    {f"{BODY}__model": None},
    {f"{BODY}__choices": []},
    {f"{BODY}__choices": a_line()["response"]["body"]["choices"] * 2},
    {f"{BODY}__choices__0__finish_reason": "length"},
    {f"{BODY}__choices__0__finish_reason": None},
    {f"{BODY}__choices__0__text": "a completion's"},
    {f"{MESSAGE}__content": ""},
    {f"{MESSAGE}__content": None},
    {f"{MESSAGE}__content": [{"type": "text", "text": "parts"}]},
    {f"{MESSAGE}__content": "lone \ud800 half"},
    {f"{MESSAGE}__refusal": "I can't."},
    {f"{MESSAGE}__tool_calls": [{"id": "call_1"}]},
    {f"{MESSAGE}__function_call": {"name": "f"}},
    {f"{MESSAGE}__audio": {"id": "audio_1"}},
    {f"{BODY}__usage": None},
    {f"{BODY}__usage": {"input_tokens": 10, "output_tokens": 2}},
    {f"{BODY}__usage__prompt_tokens": 12.0},
    {f"{BODY}__usage__input_tokens": 3},
    {f"{BODY}__usage__prompt_tokens_details": {"cached_tokens": "4"}},
]


def lines(several: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(a_line(**changes)).encode() for changes in several]


@pytest.mark.parametrize("line", lines(PLAIN))
def test_a_plain_line_is_read_fast_and_says_what_it_says(line: bytes):
    assert read_plain(line) is not None
    assert read_answer(line, CHAT) == read_any_answer(line, CHAT)


@pytest.mark.parametrize("line", lines(OTHERWISE))
def test_whatever_is_a_little_otherwise_is_left_to_the_thorough_way(line: bytes):
    assert read_plain(line) is None
    assert read_answer(line, CHAT) == read_any_answer(line, CHAT)


def test_all_of_it_is_taken():
    assert read_answer(json.dumps(a_line()).encode(), CHAT) == Answer(
        "a",
        output="Yes: é 😀",
        finish_reason="stop",
        model="gpt-4o-mini-2024-07-18",
        usage=Usage(10, 2, 4, 1),
        status=200,
    )


def test_letters_beyond_ascii_are_read_as_they_are_and_broken_ones_thoroughly():
    line = json.dumps(a_line(), ensure_ascii=False).encode("utf-8", "surrogatepass")
    written = json.dumps(a_line(**{f"{MESSAGE}__content": "naïve"}), ensure_ascii=False).encode()
    latin = written.replace("ï".encode(), b"\xef")
    assert read_answer(written, CHAT).output == "naïve"
    assert read_answer(latin, CHAT) == read_any_answer(latin, CHAT)
    assert read_answer(latin, CHAT).output == "na�ve"
    assert read_answer(line, CHAT) == read_any_answer(line, CHAT)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"custom_id": "a"}', b"\xff", b"[" * 100_000])
def test_what_is_no_answer_at_all_is_not_plain(line: bytes):
    assert read_plain(line) is None


def test_an_answer_of_another_endpoint_is_not_taken_for_one_of_this():
    line = json.dumps(a_line()).encode()
    assert read_answer(line, "/v1/moderations") == read_any_answer(line, "/v1/moderations")
    assert read_answer(line, "/v4/chat/completions") == read_answer(line, CHAT)
