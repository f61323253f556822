"""What a request is expected to take: tokens in and out, texts to embed, bytes to come back."""

import json
import math
import random
import struct
from typing import Any

import msgspec
import pytest

from batchd.core.contents import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MODERATIONS,
    RESPONSES,
    Body,
    Weight,
    estimated_tokens,
    vocabulary_of,
    weigh,
)

HI = [{"role": "user", "content": "hi"}]


def words(vocabulary: str, text: str) -> int:
    """A counter whose results a reader can check."""
    return len(text.split())


def weight(body: dict[str, Any], kind: str = CHAT, *, count=None, default: int = 500) -> Weight:
    line = json.dumps({"body": body}).encode()
    decoded = msgspec.json.decode(json.dumps({"model": "gpt-4o-mini", **body}), type=Body)
    return weigh(decoded, kind, line, count=count, default=default)


# Input


def test_an_estimate_is_rounded_up():
    assert [estimated_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_without_a_counter_a_line_counts_a_quarter_of_its_bytes():
    body = {"messages": HI}
    length = len(json.dumps({"body": body})) + 1  # its line break, too
    weighed = weight(body)
    assert weighed.tokens == math.ceil(length / 4)
    assert not weighed.is_exact


@pytest.mark.parametrize(
    ("body", "kind", "tokens"),
    [
        ({"messages": HI}, CHAT, 1 + 4 + 3),
        ({"messages": [*HI, {"role": "assistant", "content": "a b c"}]}, CHAT, 4 + 2 * 4 + 3),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a b"}]}]}, CHAT, 9),
        ({"input": "a b c"}, RESPONSES, 3),
        ({"input": HI, "instructions": "a b"}, RESPONSES, 1 + 2 + 4 + 3),
        ({"prompt": "a b"}, COMPLETIONS, 2),
        ({"input": ["a b", "c"]}, EMBEDDINGS, 3),
        ({"input": [1, 2, 3, 4]}, EMBEDDINGS, 4),
        ({"input": [[1, 2], [3]]}, EMBEDDINGS, 3),
        ({"input": "a"}, MODERATIONS, 1),
    ],
)
def test_texts_are_counted_and_so_is_what_stands_around_messages(body, kind, tokens):
    weighed = weight(body, kind, count=words)
    assert (weighed.tokens, weighed.is_exact) == (tokens, True)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": HI, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": HI, "response_format": {"type": "json_object"}},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"input": HI, "prompt": {"id": "pmpt_1", "variables": {"a": "b"}}},
        {"messages": HI, "model": "llama-3-70b"},
    ],
)
def test_what_can_not_be_counted_makes_it_an_estimate(body):
    assert not weight(body, count=words).is_exact


def test_tools_and_schemas_count_a_quarter_of_their_bytes():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    plain, with_tools = (
        weight({"messages": HI, **more}, count=words) for more in ({}, {"tools": tools})
    )
    assert with_tools.tokens - plain.tokens == math.ceil(len(json.dumps(tools)) / 4)


@pytest.mark.parametrize(("detail", "tokens"), [("low", 85), ("high", 765), (None, 765)])
@pytest.mark.parametrize("count", [None, words])
def test_a_picture_counts_by_its_size_and_not_by_its_bytes(count, detail, tokens):
    url = "data:image/png;base64," + "A" * 400_000
    chat = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
    responses = {"type": "input_image", "image_url": url, "detail": detail}
    for part, name, kind in ((chat, "messages", CHAT), (responses, "input", RESPONSES)):
        body = {name: [{"role": "user", "content": [part]}]}
        assert tokens < weight(body, kind, count=count).tokens < tokens + 60


def test_a_picture_elsewhere_costs_no_bytes_but_its_tokens():
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    assert weight(body, count=words).tokens == 765 + 4 + 3


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5.4-nano", "o200k_base"),
        ("gpt-6-luna", "o200k_base"),
        ("o3", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("ft:gpt-4o-mini:acme::x", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo:acme::x", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("qwen3-32b", None),
        ("olmo-2", None),
    ],
)
def test_a_model_has_its_vocabulary(model, vocabulary):
    assert vocabulary_of(model) == vocabulary


# Output


@pytest.mark.parametrize(
    ("body", "kind", "tokens", "is_limited"),
    [
        ({"max_completion_tokens": 7}, CHAT, 7, True),
        ({"max_tokens": 7}, CHAT, 7, True),
        ({"max_completion_tokens": 7, "max_tokens": 9, "n": 3}, CHAT, 21, True),
        ({}, CHAT, 500, False),
        ({"n": 2}, CHAT, 1000, False),
        ({"max_output_tokens": 7}, CHAT, 500, False),
        ({"max_output_tokens": 7}, RESPONSES, 7, True),
        ({"max_tokens": 7}, RESPONSES, 500, False),
        ({"max_tokens": 7, "prompt": ["a", "b"]}, COMPLETIONS, 14, True),
        ({"max_tokens": 7, "prompt": [1, 2, 3]}, COMPLETIONS, 7, True),
        ({}, EMBEDDINGS, 0, True),
        ({}, MODERATIONS, 0, True),
        ({}, "/v1/images/generations", 0, True),
        ({"max_tokens": "7", "n": True}, CHAT, 500, False),
        ({"max_tokens": -1, "n": 0}, CHAT, 500, False),
    ],
)
def test_output_is_what_a_request_allows_or_else_what_the_settings_say(
    body, kind, tokens, is_limited
):
    weighed = weight({"messages": HI, "input": "a", "prompt": "a", **body}, kind)
    assert (weighed.output_tokens, weighed.is_limited) == (tokens, is_limited)


# Embeddings


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", 1),
        (["a"], 1),
        (["a", "b", "[1, 2]"], 3),
        ([1, 2, 3], 1),
        ([[1, 2], [3]], 2),
        ([], 0),
    ],
)
def test_texts_are_counted_and_tokens_are_one_text(given, inputs):
    assert weight({"input": given}, EMBEDDINGS).inputs == inputs
    assert weight({"messages": HI, "input": given}, CHAT).inputs == 0


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ({"model": "text-embedding-3-small"}, 1536),
        ({"model": "text-embedding-ada-002"}, 1536),
        ({"model": "text-embedding-3-large"}, 3072),
        ({"model": "text-embedding-3-large", "dimensions": 256}, 256),
        ({"model": "somebody-elses"}, 3072),
    ],
)
def test_what_comes_back_is_as_large_as_vectors_written_out(body, numbers):
    """Compared with real text: random unit vectors of float32, as JSON and as base64."""
    chance = random.Random(4)
    vectors = [[chance.gauss(0, numbers**-0.5) for _ in range(numbers)] for _ in range(20)]
    packed = [struct.pack(f"{numbers}f", *vector) for vector in vectors]
    written = sum(len(json.dumps(struct.unpack(f"{numbers}f", one))) for one in packed)
    expected = weight({"input": ["a"] * 20, **body}, EMBEDDINGS).output_bytes
    assert written < expected < written * 1.12
    in_base64 = sum(len(one) * 4 // 3 for one in packed)
    body = {"encoding_format": "base64", "input": ["a"] * 20, **body}
    assert in_base64 < weight(body, EMBEDDINGS).output_bytes < in_base64 * 1.12


def test_other_answers_are_not_expected_to_be_large():
    assert weight({"messages": HI}).output_bytes == 0
