"""Lines as the provider writes them, as others write them, and as they should not be."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from batchd.core.answers import Answer, Soft, parsed, read_answer
from batchd.core.usage import Usage

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"


def a_line(body: Any, *, status: Any = 200, **changes: Any) -> bytes:
    response = {"status_code": status, "request_id": "req_1", "body": body}
    line = {"id": "batch_req_1", "custom_id": "a", "response": response, "error": None, **changes}
    return json.dumps(line).encode()


def chat(*, n: int = 1, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None}
    return {
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice | {"finish_reason": finish_reason}] * n,
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }


def response(*output: Any, status: str = "completed", **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 2}
    body = {"object": "response", "model": "gpt-5-mini", "status": status, "error": None}
    return {**body, "output": list(output), "usage": usage, **changes}


def message(*parts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts), **changes}


def said(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def output(body: Any, endpoint: str = CHAT) -> Any:
    answer = read_answer(a_line(body), endpoint)
    assert answer.code is None, answer
    return plain(answer.output)


def plain(value: Any) -> Any:
    """What a reader of results.jsonl would see: what is written is JSON, on one line."""
    written = msgspec.json.encode(value)
    assert b"\n" not in written
    return json.loads(written)


# What the reference shows


def test_a_real_success():
    line = (
        b'{"id": "batch_req_6780bb36c8508190a5254f418acd5ed0", "custom_id": "0", "response":'
        b' {"status_code": 200, "request_id": "ed3ad7feb8ad212a440ab12a1175798e", "body": {"id":'
        b' "chatcmpl-Ao2bZUcX4NWHN7CDnc08E2pPhqQ0Q", "object": "chat.completion", "created":'
        b' 1736489777, "model": "gpt-3.5-turbo-0125", "choices": [{"index": 0, "message": {"role":'
        b' "assistant", "content": "Spaghetti is \xe2\x80\xa6", "refusal": null}, "logprobs": null,'
        b' "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 72,'
        b' "total_tokens": 82, "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},'
        b' "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,'
        b' "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}, "service_tier":'
        b' "default", "system_fingerprint": null}}, "error": null}\n'
    )
    assert read_answer(line, CHAT) == Answer(
        "0",
        output="Spaghetti is …",
        finish_reason="stop",
        model="gpt-3.5-turbo-0125",
        usage=Usage(10, 72),
        status=200,
    )


def test_a_real_failure_has_its_reason_in_the_body():
    line = (
        b'{"id":"batch_req_YTpodqz4ZJ8arId5Bm73lIEt","custom_id":"request-5","response":'
        b'{"status_code":400,"request_id":"0538a1cc8f8f8500bbe07250e6aa2b26","body":{"error":'
        b'{"message":"This model\'s maximum context length is 128000 tokens.","type":'
        b'"invalid_request_error","param":"messages","code":"context_length_exceeded"}}},'
        b'"error":null}'
    )
    assert read_answer(line, CHAT) == Answer(
        "request-5",
        status=400,
        code="context_length_exceeded",
        message="This model's maximum context length is 128000 tokens.",
    )


def test_a_server_error_may_stand_in_the_output_file():
    body = {"error": {"message": "An error occurred.", "type": "server_error", "code": None}}
    answer = read_answer(a_line(body, status=500), CHAT)
    assert (answer.status, answer.code, answer.message) == (
        500,
        "server_error",
        "An error occurred.",
    )


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled", "something_new"])
def test_a_line_that_was_not_executed_has_an_error_of_its_own(code: str):
    line = a_line(None, response=None, error={"code": code, "message": "not executed"})
    assert read_answer(line, CHAT) == Answer("a", code=code, message="not executed")


# Chat and completions


def test_no_text_is_no_text():
    answer = read_answer(a_line(chat(content=None, finish_reason="length")), CHAT)
    assert (answer.output, answer.code, answer.finish_reason) == (None, None, "length")
    assert output(chat(content="")) == ""


def test_a_cut_text_is_an_answer_that_says_so():
    answer = read_answer(a_line(chat(content="Once upon", finish_reason="length")), CHAT)
    assert (answer.output, answer.finish_reason) == ("Once upon", "length")


def test_a_refusal_is_a_failure_with_the_models_words_and_its_price():
    answer = read_answer(a_line(chat(content=None, refusal="I can't.")), CHAT)
    assert (answer.code, answer.message, answer.output) == ("refusal", "I can't.", None)
    assert answer.usage == Usage(10, 2)
    assert answer.model == "gpt-4o-mini-2024-07-18"


CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize("content", [None, ""])
def test_tool_calls_stand_where_the_text_is_missing(content: str | None):
    assert output(chat(content=content, tool_calls=CALLS, finish_reason="tool_calls")) == CALLS


@pytest.mark.parametrize("nothing", [None, []])
def test_a_text_beside_no_tool_calls_stays(nothing: Any):
    assert output(chat(content="hi", tool_calls=nothing)) == "hi"
    assert output(chat(content="", tool_calls=nothing)) == ""
    assert output(chat(content=None, tool_calls=nothing)) is None


@pytest.mark.parametrize("name", ["function_call", "audio"])
def test_what_was_paid_for_is_found_under_older_and_rarer_names(name: str):
    assert output(chat(content=None, **{name: {"name": "f"}})) == {"name": "f"}


def test_several_choices_are_a_list():
    assert output(chat(n=2, content="hi")) == ["hi", "hi"]


def test_one_refusal_of_several_choices_hides_no_answer():
    body = chat(content=None, refusal="I can't.")
    body["choices"].append(chat(content="I can.")["choices"][0])
    assert output(body) == [None, "I can."]


def test_content_may_come_in_parts():
    parts = [{"type": "text", "text": "hi"}]
    assert output(chat(content=parts)) == parts


def test_completions_have_their_text_elsewhere():
    body = {"model": "m", "choices": [{"text": "hi", "index": 0, "finish_reason": "length"}]}
    answer = read_answer(a_line(body), "/v1/completions")
    assert (answer.output, answer.finish_reason, answer.usage) == ("hi", "length", None)


def test_no_choice_at_all_is_handed_on_as_it_came():
    assert output({"model": "m", "choices": []}) == {"model": "m", "choices": []}


def test_an_error_in_a_good_status_is_an_error():
    answer = read_answer(a_line({"error": {"message": "overloaded", "code": 529}}), CHAT)
    assert (answer.code, answer.message, answer.output) == ("529", "overloaded", None)


def test_a_good_status_without_a_body_is_no_answer():
    for line in (a_line(None), b'{"custom_id": "a", "response": {"status_code": 200}}'):
        assert read_answer(line, CHAT).code == "no_answer"


# Responses


def test_a_response_is_the_text_of_its_messages():
    body = response(
        {"type": "reasoning", "summary": []}, message(said("Once ")), message(said("upon"))
    )
    answer = read_answer(a_line(body), RESPONSES)
    assert (answer.output, answer.finish_reason) == ("Once upon", "stop")
    assert (answer.model, answer.usage) == ("gpt-5-mini", Usage(10, 2))


def test_a_final_answer_is_preferred_to_commentary():
    body = response(
        message(said("Let me see. "), phase="commentary"), message(said("42"), phase="final_answer")
    )
    assert output(body, RESPONSES) == "42"
    assert output(response(message(said("Hm."), phase="commentary")), RESPONSES) == "Hm."


def test_an_incomplete_response_says_why():
    body = response(message(said("Once")), status="incomplete")
    body["incomplete_details"] = {"reason": "max_output_tokens"}
    answer = read_answer(a_line(body), RESPONSES)
    assert (answer.output, answer.finish_reason, answer.code) == ("Once", "max_output_tokens", None)


def test_a_failed_response_is_a_failure_with_its_price():
    body = response(status="failed", error={"code": "server_error", "message": "sorry"})
    answer = read_answer(a_line(body), RESPONSES)
    assert (answer.code, answer.message, answer.output) == ("server_error", "sorry", None)
    assert answer.usage == Usage(10, 2)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_may_fail_without_a_reason(status: str):
    answer = read_answer(a_line(response(message(said("half")), status=status)), RESPONSES)
    assert (answer.code, answer.output) == (status, None)
    assert answer.message


def test_an_error_without_a_code_still_has_one():
    answer = read_answer(a_line(response(status="failed", error={"message": "x"})), RESPONSES)
    assert (answer.code, answer.message) == ("failed", "x")


def test_a_refused_response_is_a_failure():
    refusal = {"type": "refusal", "refusal": "I can't."}
    answer = read_answer(a_line(response(message(refusal))), RESPONSES)
    assert (answer.code, answer.message) == ("refusal", "I can't.")
    assert output(response(message(said("I can"), refusal)), RESPONSES) == "I can"


def test_calls_stand_where_a_response_has_no_text():
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"}
    body = response({"type": "reasoning", "summary": []}, call)
    assert output(body, RESPONSES) == [call]
    assert output(response(call, message(said("hi"))), RESPONSES) == "hi"
    assert output(response(), RESPONSES) == ""


def test_an_item_of_a_kind_yet_to_come_is_handed_on():
    assert output(response({"type": "dance", "content": "steps"}), RESPONSES) == [
        {"type": "dance", "content": "steps"}
    ]


# Soft failures (reference H)


def chat_soft(**message: Any) -> tuple[Soft | None, str | None]:
    answer = read_answer(a_line(chat(**message)), CHAT)
    return answer.soft, answer.code


@pytest.mark.parametrize(
    ("message", "soft", "code"),
    [
        ({"content": "hi"}, None, None),
        ({"content": "hi", "finish_reason": "odd"}, None, None),
        ({"content": "Once upon", "finish_reason": "length"}, Soft.TRUNCATED, None),
        ({"content": "", "finish_reason": "length"}, Soft.TRUNCATED, None),
        ({"content": "some", "finish_reason": "content_filter"}, Soft.FILTERED, None),
        ({"content": "", "finish_reason": "content_filter"}, Soft.FILTERED, "content_filter"),
        ({"content": None, "finish_reason": "content_filter"}, Soft.FILTERED, "content_filter"),
        ({"content": None, "refusal": "no"}, Soft.REFUSAL, "refusal"),
        (
            {"content": None, "tool_calls": CALLS, "finish_reason": "tool_calls"},
            Soft.TOOL_CALL,
            None,
        ),
        ({"content": None, "tool_calls": CALLS, "finish_reason": "stop"}, Soft.TOOL_CALL, None),
        ({"content": "hm", "tool_calls": CALLS, "finish_reason": "stop"}, Soft.TOOL_CALL, None),
        ({"content": None, "function_call": {"name": "f"}}, Soft.TOOL_CALL, None),
        ({"content": None, "audio": {"id": "a"}}, None, None),
    ],
)
def test_chat_answers_are_told_apart(message: Any, soft: Soft | None, code: str | None):
    assert chat_soft(**message) == (soft, code)


def test_one_choice_cut_off_is_an_answer_cut_off():
    body = chat(content="whole")
    body["choices"] += chat(content="ha", finish_reason="length")["choices"]
    answer = read_answer(a_line(body), CHAT)
    assert (answer.soft, answer.finish_reason) == (Soft.TRUNCATED, "stop")


CALL = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"}


@pytest.mark.parametrize(
    ("output", "incomplete", "soft", "code"),
    [
        ([message(said("hi"))], None, None, None),
        ([message(said("Once"))], "max_output_tokens", Soft.TRUNCATED, None),
        ([], "max_output_tokens", Soft.TRUNCATED, None),
        ([message(said("Once"))], "something_new", Soft.TRUNCATED, None),
        ([message(said("some"))], "content_filter", Soft.FILTERED, None),
        ([], "content_filter", Soft.FILTERED, "content_filter"),
        ([message({"type": "refusal", "refusal": "no"})], None, Soft.REFUSAL, "refusal"),
        ([CALL], None, Soft.TOOL_CALL, None),
        ([message(said("hm")), CALL], None, Soft.TOOL_CALL, None),
        (
            [{"type": "web_search_call", "status": "completed"}, message(said("hi"))],
            None,
            None,
            None,
        ),
    ],
)
def test_responses_are_told_apart(
    output: Any, incomplete: str | None, soft: Soft | None, code: str | None
):
    body = response(*output)
    if incomplete:
        body |= {"status": "incomplete", "incomplete_details": {"reason": incomplete}}
    answer = read_answer(a_line(body), RESPONSES)
    assert (answer.soft, answer.code) == (soft, code)
    assert answer.finish_reason == (incomplete or "stop")


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (chat(content="Once upon", finish_reason="length"), CHAT),
        (response(message(said("Once")), status="incomplete"), RESPONSES),
    ],
)
def test_what_was_cut_off_can_be_a_failure_that_was_paid_for(body: Any, endpoint: str):
    kept = read_answer(a_line(body), endpoint)
    failed = read_answer(a_line(body), endpoint, truncated_fails=True)
    assert (kept.code, failed.code, failed.output) == (None, "truncated", None)
    assert failed.message == "the answer was cut off at its token limit"
    assert (failed.usage, failed.finish_reason) == (Usage(10, 2), kept.finish_reason)
    plain_one = read_answer(a_line(chat(content="hi")), CHAT, truncated_fails=True)
    assert plain_one.output == "hi"


def test_a_failed_response_is_a_failure_and_nothing_soft():
    answer = read_answer(a_line(response(status="failed")), RESPONSES, truncated_fails=True)
    assert (answer.soft, answer.code) == (None, "failed")


# The others


def vectors(*embeddings: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(embeddings)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 8}}


def test_one_vector_is_a_vector_and_many_are_a_list_in_their_order():
    assert output(vectors([0.1, -2e-05]), EMBEDDINGS) == [0.1, -2e-05]
    several = vectors([1], [2], [3])
    several["data"].reverse()
    assert output(several, EMBEDDINGS) == [[1], [2], [3]]
    assert read_answer(a_line(several), EMBEDDINGS).usage == Usage(8)


def test_a_vector_is_written_as_it_came():
    line = a_line(vectors([0])).replace(b"[0]", b"[0.10000000149011612, 1e-45, 1.0]")
    answer = read_answer(line, EMBEDDINGS)
    assert msgspec.json.encode(answer.output) == b"[0.10000000149011612, 1e-45, 1.0]"


def test_a_vector_may_be_base64():
    assert output(vectors("AACAPw=="), EMBEDDINGS) == "AACAPw=="


def test_moderation_is_its_results():
    results = [{"flagged": False, "categories": {}}]
    body = {"id": "modr-1", "model": "omni-moderation-latest", "results": results}
    assert output(body, "/v1/moderations") == results


@pytest.mark.parametrize("endpoint", ["/v1/images/generations", "/v1/images/edits", "/v2/new"])
def test_what_has_no_reading_of_its_own_is_handed_on_with_its_usage(endpoint: str):
    body = {"data": [{"b64_json": "AAAA"}], "usage": {"input_tokens": 5, "output_tokens": 7}}
    answer = read_answer(a_line(body), endpoint)
    assert plain(answer.output) == body
    assert answer.usage == Usage(5, 7)


def test_a_failed_video_is_a_failure():
    body = {"object": "video", "status": "failed", "error": {"code": "moderated", "message": "no"}}
    assert read_answer(a_line(body), "/v1/videos").code == "moderated"
    assert output(body | {"status": "completed", "error": None}, "/v1/videos")["object"] == "video"


# Tolerances (reference J.4)


@pytest.mark.parametrize("error", [None, {}, [], "", False, {"code": None, "message": ""}])
def test_an_error_that_says_nothing_is_none(error: Any):
    assert read_answer(a_line(chat(content="hi"), error=error), CHAT).output == "hi"
    assert output(chat(content="hi") | {"error": error}) == "hi"


def test_a_line_may_lack_what_nobody_needs():
    body = json.dumps(chat(content="hi"))
    line = f'{{"custom_id": "a", "response": {{"status_code": 200, "body": {body}}}}}'
    assert read_answer(line.encode(), CHAT).output == "hi"


@pytest.mark.parametrize("custom_id", ["7", 7])
def test_an_id_may_have_lost_its_quotes(custom_id: str | int):
    assert read_answer(a_line(chat(content="hi"), custom_id=custom_id), CHAT).custom_id == "7"


@pytest.mark.parametrize("status", [200, 200.0, "200", 201])
def test_a_status_may_be_dressed(status: Any):
    assert read_answer(a_line(chat(content="hi"), status=status), CHAT).code is None


def test_a_body_may_be_a_json_string():
    pretty = json.dumps(chat(content="hi\n", tool_calls=CALLS), indent=2)
    answer = read_answer(a_line(pretty), CHAT)
    assert (answer.output, answer.usage) == ("hi\n", Usage(10, 2))


def test_a_pretty_body_does_not_break_the_line_of_a_result():
    pretty = json.dumps({"results": [{"flagged": False}]}, indent=2)
    assert output(pretty, "/v1/moderations") == [{"flagged": False}]


@pytest.mark.parametrize("body", ["plain text", "{", "", "{" * 5000, 3, [], True])
def test_a_body_that_is_nothing_known_is_handed_on_as_it_came(body: Any):
    """Paid for. And what comes out is JSON, even where a text was no JSON."""
    assert output(body) == body


@pytest.mark.parametrize(
    "endpoint", ["/chat/completions", "/v4/chat/completions", "/openai/v1/chat/completions"]
)
def test_an_endpoint_may_be_spelled_otherwise(endpoint: str):
    assert output(chat(content="hi"), endpoint) == "hi"
    assert output(response(message(said("hi"))), "/responses") == "hi"
    assert output(vectors([0.5]), "/v4/embeddings") == [0.5]


def test_an_odd_shape_keeps_its_model_and_its_price():
    body = chat(content="hi") | {"choices": None}
    answer = read_answer(a_line(body), CHAT)
    assert plain(answer.output) == body
    assert (answer.model, answer.usage) == ("gpt-4o-mini-2024-07-18", Usage(10, 2))


@pytest.mark.parametrize("usage", [None, "many", {"prompt_tokens": 10.0, "completion_tokens": 2.0}])
def test_an_odd_usage_costs_no_answer(usage: Any):
    answer = read_answer(a_line(chat(content="hi") | {"usage": usage}), CHAT)
    assert answer.output == "hi"
    assert answer.usage in (None, Usage(10, 2))


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (None, "http_400", "the provider gave no reason"),
        ({}, "http_400", "the provider gave no reason"),
        ({"error": None}, "http_400", "the provider gave no reason"),
        ({"error": {}}, "http_400", "the provider gave no reason"),
        ({"error": "boom"}, "http_400", "boom"),
        ({"error": ["boom"]}, "http_400", '["boom"]'),
        ({"error": {"message": "boom"}}, "http_400", "boom"),
        ({"error": {"code": 400, "message": "boom"}}, "400", "boom"),
        ({"error": {"type": "invalid_request_error"}}, "invalid_request_error", None),
        (
            {"object": "error", "message": "boom", "type": "BadRequestError"},
            "BadRequestError",
            "boom",
        ),
        ("boom", "http_400", "boom"),
        ("<html>" + "x" * 9000, "http_400", "<html>" + "x" * 994),
        ([1], "http_400", "[1]"),
    ],
)
def test_a_failure_says_what_can_be_found(body: Any, code: str, message: str | None):
    answer = read_answer(a_line(body, status=400), CHAT)
    assert (answer.status, answer.code) == (400, code)
    assert answer.message == (message or "the provider gave no reason")


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}])
def test_an_error_of_the_line_may_have_no_code(error: Any):
    answer = read_answer(a_line(None, response=None, error=error), CHAT)
    assert (answer.code, answer.message) == ("no_answer", "boom")


@pytest.mark.parametrize("response", [None, {}, {"status_code": None}])
def test_neither_answer_nor_error_is_no_answer(response: Any):
    assert read_answer(a_line(None, response=response), CHAT).code == "no_answer"


# Broken letters


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\ude00", "\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\\ud83d", r"\ud83d"),
        (rb"\\\ud83d\\", "\\\ufffd\\"),
        (rb"\ud83d \n", "\ufffd \n"),
        (b"caf\xe9", "caf\ufffd"),
        ("café".encode(), "café"),
    ],
)
def test_a_broken_letter_costs_a_letter_and_not_the_answer(written: bytes, text: str):
    """Thrown away, the answer would be paid for again; and break again, most likely."""
    line = a_line(chat(content="TEXT")).replace(b"TEXT", written)
    assert read_answer(line, CHAT).output == text


def test_what_is_handed_on_as_it_came_is_mended_too():
    line = a_line({"data": "TEXT"}).replace(b"TEXT", b"\\ud83d caf\xe9")
    assert plain(read_answer(line, "/v1/images/edits").output) == {"data": "\ufffd caf\ufffd"}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"id": "a"}',
        b'{"custom_id": null}',
        b'{"custom_id": ["a"]}',
        b'{"custom_id": "a", "response": "text"}',
        b'{"custom_id": "a", "response": {"status_code": "ok"}}',
        b"<html>Bad gateway</html>",
        a_line(chat(content="hi"))[:-3],
        a_line(chat(content="hi")) + a_line(chat(content="hi")),
        b'{"custom_id": "a", "response": {"status_code": 200, "body": ' + b"[" * 100_000,
        b"\xff\xfe{",
    ],
)
def test_what_is_no_answer_line_is_said_to_be_none(line: bytes):
    with pytest.raises(msgspec.MsgspecError):
        read_answer(line, CHAT)


# Answers that are JSON


def test_a_json_text_is_the_value_it_is():
    assert plain(parsed('{"a": [1, null, "\\u00fc"]}')) == {"a": [1, None, "ü"]}
    assert plain(parsed("12")) == 12


def test_an_indented_answer_does_not_break_the_line_of_its_result():
    assert plain(parsed('{\n  "a": 1,\r\n  "b": "\\n"\n}\n')) == {"a": 1, "b": "\n"}


def test_numbers_are_written_as_the_model_wrote_them():
    text = '{"price":1.10,"id":123456789012345678901234567890,"tiny":1e-400}'
    assert msgspec.json.encode(parsed(text)) == text.encode()


@pytest.mark.parametrize(
    "text", ["", "hello", '{"a": ', '{"a": 1} b', "NaN", "[" * 5000, '"\\ud83d"']
)
def test_a_text_that_is_no_json_stays_a_text(text: str):
    assert parsed(text) == text


def test_what_is_no_text_stays_what_it_is():
    raw = Raw(b"[1]")
    assert parsed(raw) is raw
    assert parsed(None) is None


def test_several_choices_are_parsed_one_by_one():
    assert plain(parsed(['{"a": 1}', "cut {", None])) == [{"a": 1}, "cut {", None]


@pytest.mark.parametrize("url", ["/chat/completions", "/v4/chat/completions"])
def test_an_endpoint_of_another_server_is_read_like_ours(url: str):
    body = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    written = {"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None}
    read = read_answer(json.dumps(written).encode(), url)
    assert (read.output, read.finish_reason) == ("hello", "stop")
