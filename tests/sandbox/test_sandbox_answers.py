"""Answers: deterministic, recognisable, within their limits (API reference H)."""

from __future__ import annotations

import base64
import math
import struct

import pytest

from batchd.sandbox.answers import SERVED, answer_for
from batchd.sandbox.wire import ApiError
from tests.sandbox.support import CHAT

BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "What is a fjord?"}]},
    "/v1/responses": {"input": "What is a fjord?"},
    "/v1/embeddings": {"input": "What is a fjord?"},
    "/v1/completions": {"prompt": "What is a fjord?"},
    "/v1/moderations": {"input": "What is a fjord?"},
}


def with_schema(schema: object) -> dict:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return {"messages": [], "response_format": form}


def chat(*messages: tuple[str, str], **more) -> dict:
    listed = [{"role": role, "content": content} for role, content in messages]
    return answer_for(CHAT, {"model": "gpt-4o-mini", "messages": listed} | more)


def content_of(answer: dict) -> str:
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("url", SERVED)
def test_an_answer_depends_on_its_request_and_on_nothing_else(url):
    body = {"model": "gpt-4o-mini"} | BODIES[url]
    other = {**body, next(iter(BODIES[url])): [{"role": "user", "content": "Other"}]}
    if url not in ("/v1/chat/completions", "/v1/responses"):
        other[next(iter(BODIES[url]))] = "Other"

    assert answer_for(url, body) == answer_for(url, dict(reversed(body.items())))
    assert answer_for(url, body) != answer_for(url, other)


def test_a_chat_answer_has_the_apis_shape_and_echoes_the_question():
    answer = chat(("system", "Be brief."), ("user", "What is a fjord?"))
    (choice,) = answer["choices"]

    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt-4o-mini-2024-07-18"
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["refusal"] is None
    assert choice["message"]["content"].endswith(": What is a fjord?")
    digest = choice["message"]["content"].split()[2].rstrip(":")
    assert answer["id"].startswith(f"chatcmpl-{digest}")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


def test_an_unknown_alias_is_its_own_snapshot():
    assert chat(("user", "x"), model="my-model")["model"] == "my-model"


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_chat_answer_is_cut_at_its_limit(limit):
    answer = chat(("user", "Tell me everything about fjords"), **{limit: 3})

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    assert len(content_of(answer)) == 12


def test_a_response_is_cut_at_its_limit():
    body = {"model": "gpt-5-mini", "input": "Tell me everything", "max_output_tokens": 2}
    answer = answer_for("/v1/responses", body)

    assert answer["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
    assert answer["usage"]["output_tokens"] == 2


def test_a_response_has_the_apis_shape():
    answer = answer_for(
        "/v1/responses",
        {
            "model": "gpt-5-mini",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "What is a fjord?"}]}
            ],
        },
    )
    (message,) = answer["output"]
    (part,) = message["content"]

    assert (answer["object"], answer["status"]) == ("response", "completed")
    assert (message["type"], part["type"]) == ("message", "output_text")
    assert part["text"].endswith(": What is a fjord?")
    assert answer["model"] == "gpt-5-mini-2025-08-07"
    assert answer["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Great taste, my dog loved it", "positive"),
        ("The worst: stale and disappointing", "negative"),
        ("It arrived on Tuesday", "neutral"),
    ],
)
def test_a_sentiment_is_answered_with_one_of_its_labels(text, label):
    system = "Classify the review as positive, negative, or neutral. One word."
    answer = chat(("system", system), ("user", text))

    assert content_of(answer) == label
    assert answer["system_fingerprint"].startswith("fp_")


def test_a_label_is_spelled_as_the_prompt_spells_it():
    assert content_of(chat(("system", "POSITIVE or NEGATIVE?"), ("user", "good"))) == "POSITIVE"


def test_several_choices_are_several():
    answer = chat(("user", "x"), n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("model", "more", "dimensions"),
    [
        ("text-embedding-3-small", {}, 1536),
        ("text-embedding-3-large", {}, 3072),
        ("text-embedding-3-large", {"dimensions": 64}, 64),
    ],
)
def test_an_embedding_is_a_unit_vector(model, more, dimensions):
    body = {"model": model, "input": ["a", "b", "a"]} | more
    answer = answer_for("/v1/embeddings", body)
    vectors = [item["embedding"] for item in answer["data"]]

    assert [item["index"] for item in answer["data"]] == [0, 1, 2]
    assert [len(vector) for vector in vectors] == [dimensions] * 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert math.isclose(sum(number**2 for number in vectors[0]), 1, abs_tol=1e-4)
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] == 3


def test_an_embedding_may_be_base64():
    body = {"model": "text-embedding-3-small", "input": "a", "dimensions": 8}
    (plain,) = answer_for("/v1/embeddings", body)["data"]
    (coded,) = answer_for("/v1/embeddings", body | {"encoding_format": "base64"})["data"]

    floats = struct.unpack("<8f", base64.b64decode(coded["embedding"]))
    assert floats == pytest.approx(plain["embedding"], abs=1e-6)


def test_a_list_of_tokens_is_one_input():
    body = {"model": "text-embedding-3-small", "dimensions": 4}
    one = answer_for("/v1/embeddings", body | {"input": [1, 2, 3]})
    two = answer_for("/v1/embeddings", body | {"input": [[1, 2, 3], [4]]})

    assert (len(one["data"]), len(two["data"])) == (1, 2)
    assert one["data"][0] == two["data"][0]
    assert two["usage"]["prompt_tokens"] == 4


def test_a_moderation_has_a_result_for_each_text():
    answer = answer_for("/v1/moderations", {"input": ["a nice day", "I will kill you"]})
    fine, bad = answer["results"]

    assert (fine["flagged"], bad["flagged"]) == (False, True)
    assert bad["categories"]["violence"] is True
    assert set(fine["categories"]) == set(fine["category_scores"])
    assert bad["category_scores"]["violence"] > 0.5 > fine["category_scores"]["violence"]
    assert answer["model"] == "omni-moderation-latest"


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CHAT, {}),
        (CHAT, {"messages": "x"}),
        (CHAT, {"messages": [], "n": 0}),
        (CHAT, with_schema({"enum": []})),
        (CHAT, with_schema({"type": "integer", "minimum": "low"})),
        (CHAT, with_schema([])),
        (CHAT, {"messages": [], "max_tokens": "many"}),
        (CHAT, {"messages": [], "response_format": 3}),
        ("/v1/responses", {}),
        ("/v1/responses", {"input": "x", "text": []}),
        ("/v1/responses", {"input": 3}),
        ("/v1/embeddings", {}),
        ("/v1/embeddings", {"input": ""}),
        ("/v1/embeddings", {"input": []}),
        ("/v1/embeddings", {"input": ["a", ""]}),
        ("/v1/embeddings", {"input": ["a"] * 2049}),
        ("/v1/embeddings", {"input": "a", "dimensions": 0}),
        ("/v1/completions", {"prompt": "x", "max_tokens": -1}),
        ("/v1/moderations", {}),
    ],
)
def test_what_no_model_would_take_is_refused(url, body):
    with pytest.raises(ApiError) as refusal:
        answer_for(url, {"model": "gpt-4o-mini"} | body)

    assert refusal.value.status == 400
