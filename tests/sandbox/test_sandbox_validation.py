"""What the sandbox finds wrong with an input file (API reference B.3)."""

from __future__ import annotations

import pytest

from batchd.sandbox.lines import Lines
from batchd.sandbox.validating import Examination
from tests.sandbox.support import CHAT, chat_line, chat_lines, jsonl, talking


def examined(path, content: bytes, endpoint: str = CHAT) -> Examination:
    file = path / "input.jsonl"
    file.write_bytes(content)
    exam = Examination(Lines(file), endpoint, lambda model: not model.startswith("no-such-"))
    for _ in exam.steps():
        pass
    return exam


def found(exam: Examination) -> list[tuple[str, str | None, int | None]]:
    return [(error.code, error.param, error.line) for error in exam.errors]


async def test_a_line_that_is_no_json_fails_the_batch_with_its_line_number():
    async with talking() as talk:
        batch = await talk.run([chat_line("a"), b"{nonsense\n", chat_line("b")])

    assert batch["status"] == "failed"
    assert batch["failed_at"] >= batch["created_at"]
    assert batch["output_file_id"] is batch["error_file_id"] is None
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["errors"] == {
        "object": "list",
        "data": [
            {
                "code": "invalid_json_line",
                "message": "This line is not parseable as valid JSON.",
                "param": None,
                "line": 2,
            }
        ],
    }


@pytest.mark.parametrize("member", ["custom_id", "method", "url", "body"])
async def test_a_line_without_a_member_fails_the_batch_with_the_members_name(member):
    line = chat_line("a")
    del line[member]
    async with talking() as talk:
        errors = await talk.errors_of([chat_line("first"), line])

    assert errors == [
        {
            "code": "missing_required_parameter",
            "message": f"Missing required parameter: '{member}'.",
            "param": member,
            "line": 2,
        }
    ]


@pytest.mark.parametrize(
    ("line", "code", "message", "param"),
    [
        (
            chat_line("a") | {"url": "/v1/responses"},
            "invalid_url",
            "The URL provided for this request does not match the batch endpoint.",
            "url",
        ),
        (
            chat_line("a", model="no-such-model"),
            "model_not_found",
            "The provided model 'no-such-model' is not supported by the Batch API.",
            "body.model",
        ),
        (
            chat_line("a") | {"body": {"messages": []}},
            "invalid_request",
            "Model parameter is required.",
            "body.model",
        ),
        (
            chat_line("a") | {"body": {"model": "gpt-4o-mini"}},
            "invalid_request",
            "Messages parameter is required.",
            "body.messages",
        ),
        (
            chat_line("a", stream=True),
            "streaming_unsupported",
            "Chat Completions: Streaming is not supported in the Batch API.",
            "body.stream",
        ),
    ],
)
async def test_a_bad_request_fails_the_batch_in_the_apis_words(line, code, message, param):
    async with talking() as talk:
        assert await talk.errors_of([line]) == [
            {"code": code, "message": message, "param": param, "line": 1}
        ]


def test_a_second_model_is_a_mismatch(tmp_path):
    exam = examined(tmp_path, jsonl([chat_line("a"), chat_line("b", model="gpt-4o")]))

    assert found(exam) == [("mismatched_model", None, 2)]
    assert "The model 'gpt-4o' for this request does not match" in exam.errors[0].message


def test_a_second_use_of_a_custom_id_is_a_duplicate(tmp_path):
    exam = examined(tmp_path, jsonl([chat_line("a"), chat_line("b"), chat_line("a")]))

    assert found(exam) == [("duplicate_custom_id", None, 3)]
    assert "The custom_id 'a' for this request is a duplicate" in exam.errors[0].message


def test_all_bad_lines_are_told_in_their_order(tmp_path):
    lines = [b"[]\n", chat_line("a"), {"custom_id": "b"}, b"\n", chat_line("c", stream=True)]

    assert found(examined(tmp_path, jsonl(lines))) == [
        ("invalid_json_line", None, 1),
        ("missing_required_parameter", "method", 3),
        ("missing_required_parameter", "url", 3),
        ("missing_required_parameter", "body", 3),
        ("invalid_json_line", None, 4),
        ("streaming_unsupported", "body.stream", 5),
    ]


@pytest.mark.parametrize(
    "line",
    [b"\xef\xbb\xbf{}\n", b'{"a": NaN}\n', b'"text"\n', b'{"a": "\xff"}\n', b"[" * 9000 + b"\n"],
    ids=["a BOM", "NaN", "a string", "no UTF-8", "too deep"],
)
def test_what_is_not_a_json_object_is_no_line(tmp_path, line):
    assert found(examined(tmp_path, line)) == [("invalid_json_line", None, 1)]


def test_members_of_the_wrong_type_are_invalid(tmp_path):
    exam = examined(tmp_path, jsonl([chat_line("a") | {"custom_id": 7, "url": None}]))

    assert [(error.code, error.message) for error in exam.errors] == [
        ("invalid_request", "Custom_id must be a string."),
        ("invalid_request", "URL must be a string."),
    ]


def test_a_method_other_than_post_is_invalid(tmp_path):
    exam = examined(tmp_path, jsonl([chat_line("a") | {"method": "GET"}]))
    assert found(exam) == [("invalid_request", "method", 1)]


async def test_an_empty_file_fails_the_batch_where_the_upload_let_it_through():
    async with talking(faults={"lenient_uploads": True}) as talk:
        errors = await talk.errors_of([])

    assert errors == [
        {
            "code": "empty_file",
            "message": "The input file is empty. Please ensure that the batch contains at least "
            "one request.",
            "param": None,
            "line": None,
        }
    ]


def test_a_file_of_more_than_50_000_lines_is_refused_as_a_whole(tmp_path):
    line = jsonl([chat_line("same")])
    assert found(examined(tmp_path, line * 50_001)) == [("too_many_tasks", None, None)]


def test_a_file_of_more_than_209_715_200_bytes_is_too_large(tmp_path):
    file = tmp_path / "large.jsonl"
    blank = b" " * (1 << 20)
    with file.open("wb") as sink:
        sink.write(jsonl([chat_line("a")]))
        for number in range(200):
            sink.write(jsonl([chat_line(f"r{number}")])[:-1] + blank + b"\n")
    exam = Examination(Lines(file), CHAT, lambda _: True)
    for _ in exam.steps():
        pass

    (error,) = exam.errors
    assert error.message == (
        "The batch input file is larger than the 209715200 maximum for the gpt-4o-mini model. "
        "Please try again with a smaller batch."
    )


def test_embedding_inputs_are_counted_over_all_lines(tmp_path):
    body = {"model": "text-embedding-3-small", "input": ["x"] * 2000}
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/embeddings", "body": body}
        for n in range(26)
    ]

    assert found(examined(tmp_path, jsonl(lines[:25]), "/v1/embeddings")) == []
    assert found(examined(tmp_path, jsonl(lines), "/v1/embeddings")) == [
        ("too_many_tasks", None, None)
    ]


async def test_a_missing_last_newline_is_fine():
    async with talking() as talk:
        batch = await talk.run([jsonl(chat_lines(3)).rstrip(b"\n")])

    assert batch["status"] == "completed"
    assert batch["request_counts"]["total"] == 3


async def test_carriage_returns_are_fine():
    async with talking() as talk:
        batch = await talk.run([jsonl(chat_lines(2)).replace(b"\n", b"\r\n")])

    assert batch["status"] == "completed"
