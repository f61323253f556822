"""One line at a time: what breaks a rule, and what is only worth a warning."""

import json
from typing import Any

import msgspec
import pytest

from batchd.core.contents import Weight
from batchd.core.limits import MAX_INPUTS_PER_REQUEST, accepted
from batchd.core.problems import CAUTIONS, Problem
from batchd.core.rules import broken_rule, diagnose, doubts, read_line, repeated_key

CHAT, RESPONSES, EMBED = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"input": "hi"},
    EMBED: {"input": "hi"},
    "/v1/completions": {"prompt": "hi"},
    "/v1/moderations": {"input": "hi"},
    "/v1/images/generations": {"prompt": "a cat"},
    "/v1/images/edits": {"prompt": "a cat"},
    "/v1/videos": {"prompt": "a cat"},
}


def written(url: str = CHAT, *, custom_id: str = "a", **changes: Any) -> bytes:
    body = {"model": "m", **BODIES.get(url, {}), **changes}
    body = {name: value for name, value in body.items() if value is not ...}
    line = {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
    return json.dumps(line).encode()


def judged(line: bytes, prefixes: tuple[str, ...] = ("/v1",)) -> Problem | None:
    return broken_rule(read_line(line)[0], accepted(prefixes))


def doubted(line: bytes, weight: Weight | None = None, room: int | None = None):
    decoded, _ = read_line(line)
    return list(doubts(decoded, decoded.url, weight or Weight(1), room))


@pytest.mark.parametrize("url", BODIES)
def test_the_least_that_an_endpoint_takes_is_taken(url):
    assert judged(written(url)) is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (CHAT, "messages"),
        (RESPONSES, "input"),
        (EMBED, "input"),
        ("/v1/completions", "prompt"),
        ("/v1/moderations", "input"),
        ("/v1/images/generations", "prompt"),
        ("/v1/images/edits", "prompt"),
        ("/v1/videos", "prompt"),
    ],
)
@pytest.mark.parametrize("value", [..., None, []])
def test_a_body_has_what_its_endpoint_works_on(url, name, value):
    problem = judged(written(url, **{name: value}))
    assert problem
    assert (problem.code, problem.param) == ("invalid_request", f"body.{name}")


@pytest.mark.parametrize("name", ["prompt", "previous_response_id", "conversation"])
def test_a_response_may_go_on_from_something_else_than_input(name):
    assert judged(written(RESPONSES, **{"input": ..., name: "some_1"})) is None


def test_other_servers_write_their_endpoints_otherwise():
    azure, zhipu = "/chat/completions", "/v4/chat/completions"
    for url in (azure, zhipu):
        line = written(url, **BODIES[CHAT])
        refused = judged(line)
        assert refused
        assert refused.code == "invalid_url"
        assert judged(line, ("", "/v4")) is None
        # What is known of the endpoint is known by any of its names.
        without = judged(written(url), ("", "/v4"))
        assert without
        assert without.param == "body.messages"
        streaming = judged(written(url, **BODIES[CHAT], stream=True), ("", "/v4"))
        assert streaming
        assert streaming.code == "streaming_unsupported"


def test_the_remedy_for_a_wrong_url_names_those_that_are_let_through():
    problem = judged(written("/v1/chat"), ("/v4",))
    assert problem
    assert "/v4/chat/completions" in problem.remedy
    assert CHAT not in problem.remedy
    usual = judged(written("/v1/chat"), ("/v1",))
    assert usual
    assert usual.remedy.startswith("Use one of: /v1/responses, /v1/chat/completions, ")


@pytest.mark.parametrize("texts", [["a"] * MAX_INPUTS_PER_REQUEST, [1] * 8000, [[1]] * 2048, "a"])
def test_a_request_may_embed_so_many_texts(texts):
    assert judged(written(EMBED, input=texts)) is None


@pytest.mark.parametrize("text", ["a", [1]])
def test_and_no_more(text):
    problem = judged(written(EMBED, input=[text] * (MAX_INPUTS_PER_REQUEST + 1)))
    assert problem
    assert (problem.code, problem.param) == ("invalid_request", "body.input")
    assert "2,049 texts" in problem.message
    assert "2,048" in problem.message


@pytest.mark.parametrize("mixed", [["a", 1], [1, "a"], [[1], "a"], [1, [2]]])
def test_texts_and_tokens_are_not_mixed(mixed):
    problem = judged(written(EMBED, input=mixed))
    assert problem
    assert "mixes" in problem.message


@pytest.mark.parametrize("reference", ["file.png", 5, ["file_1"]])
def test_nothing_is_attached_to_a_video(reference):
    problem = judged(written("/v1/videos", input_reference=reference))
    assert problem
    assert problem.param == "body.input_reference"
    assert judged(written("/v1/videos", input_reference={"file_id": "file_1"})) is None
    assert judged(written("/v1/videos", input_reference=None)) is None


def test_a_parameter_of_the_wrong_kind_is_its_own_requests_trouble():
    """It fails alone at the provider (400); the batch is taken."""
    line = written(max_tokens="many", n=[1], dimensions={}, encoding_format=5, background="yes")
    assert judged(line) is None


# Warnings


def test_a_good_line_is_not_doubted():
    assert doubted(written()) == []
    assert doubted(written(RESPONSES, background=False), room=1) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (written(custom_id="x" * 513), "long_custom_id"),
        (written(custom_id="a\nb"), "control_characters"),
        (written(custom_id="a\x85b"), "control_characters"),
        (written(RESPONSES, background=True), "background_ignored"),
        (written(EMBED, input=""), "empty_input"),
        (written(EMBED, input=["a", ""]), "empty_input"),
    ],
)
def test_what_is_odd_is_doubted(line, code):
    assert [code for code, _ in doubted(line)] == [code]
    assert code in CAUTIONS


@pytest.mark.parametrize(
    "line",
    [
        written(custom_id="x" * 512),
        written(custom_id="ü\u2028😀 "),
        written(background=True),
        written(EMBED, input=['a "quoted" ""text""', 'ends with "']),
        written(messages=""),
    ],
)
def test_what_only_looks_odd_is_not(line):
    assert doubted(line) == []


def test_an_answer_without_a_limit_is_doubted():
    assert doubted(written(), Weight(1, is_limited=False)) == [("no_output_limit", "")]


def test_a_request_larger_than_its_models_queue_is_doubted():
    assert doubted(written(), Weight(1000), room=1000) == []
    ((code, detail),) = doubted(written(), Weight(1001), room=1000)
    assert code == "token_limit_exceeded"
    assert "1,001" in detail


def test_a_member_that_does_not_belong_there_is_named():
    line = written()
    assert read_line(line)[1] is None
    for odd in (line[:-1] + b', "ext\\nra": 1}', b'{"ext\\nra": [1], ' + line[1:]):
        decoded, unknown = read_line(odd)
        assert decoded.custom_id == "a"
        assert unknown is not None
        assert unknown.isprintable()
        assert unknown.startswith("ext")


def test_unknown_members_hide_no_problem():
    with pytest.raises(msgspec.ValidationError):
        read_line(b'{"extra": 1, "custom_id": 5, "method": "POST", "url": "", "body": {}}')


def test_parameters_of_the_body_are_the_providers_business():
    assert read_line(written(reasoning={"effort": "low"}, seed=5))[1] is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (written(), None),
        (b'{"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 2}]}', None),
        (b'{"a": 1, "b": 2, "a": 3}', "a"),
        (b'{"a": [{"x": {"deep": 1, "deep": 1}}]}', "deep"),
        (b'{"a": 1, "\\u0061": 2}', "a"),
    ],
)
def test_a_key_that_stands_twice_is_found_wherever_it_is(line, key):
    assert repeated_key(line) == key


# Lines that can't be read


def test_a_line_that_could_be_read_after_all_is_still_refused():
    """Two decoders may disagree about a repeated key; the line is nobody's to guess about."""
    (problem,) = diagnose(written())
    assert problem.code == "invalid_json_line"


def test_every_missing_member_is_named():
    assert [problem.param for problem in diagnose(b"{}")] == ["custom_id", "method", "url", "body"]
