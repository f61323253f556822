"""What is added to a row: in the schema's order, beside the sender's columns and never over them."""

import pytest
from msgspec import Raw

from batchd.core.answers import Answer
from batchd.core.columns import Columns, added_columns, error_text
from batchd.core.records import Layout
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, Task, TaskOutput

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "pay": {"type": "object"}, "tags": {}},
    "required": ["title", "pay", "tags"],
}
STRUCTURED = TaskOutput(schema=SCHEMA)


def a_task(**given):
    return Task(**{"name": "t", "model": "m", "prompt": "p", **given})


def layout(*columns, format="csv"):
    return Layout(format=format, columns=columns)


def good(output):
    return Answer("1", output=output, status=200)


FAILED = Answer("1", code="refusal", message="I'm sorry,\n but no")


@pytest.mark.parametrize(
    ("task", "format", "added"),
    [
        (a_task(output=STRUCTURED), "csv", ("title", "pay", "tags", "batchd_error")),
        (a_task(), "csv", ("answer", "batchd_error")),
        (a_task(output=TaskOutput(column="summary")), "excel", ("summary", "batchd_error")),
        (a_task(endpoint=EMBEDDINGS), "csv", ("batchd_error",)),
        (a_task(endpoint=EMBEDDINGS), "excel", ("batchd_error",)),
        (a_task(endpoint=EMBEDDINGS), "parquet", ("embedding", "batchd_error")),
        (a_task(endpoint=EMBEDDINGS), "jsonl", ("embedding", "batchd_error")),
        (a_task(endpoint=MODERATIONS), "csv", ("flagged", "categories", "batchd_error")),
    ],
)
def test_what_a_task_adds_to_a_table(task, format, added):
    assert added_columns(task, layout("a", format=format)) == added


def test_a_name_that_the_table_has_gets_another():
    columns = Columns(
        a_task(output=STRUCTURED), layout("title", "pay", "answer_pay", "batchd_error")
    )
    assert columns.added == ("answer_title", "answer_2_pay", "tags", "answer_batchd_error")
    output = Raw(b'{"title":"Cook","pay":{"min":1},"tags":["x"]}')
    assert columns.values(good(output)) == {
        "answer_title": "Cook",
        "answer_2_pay": {"min": 1},
        "tags": ["x"],
        "answer_batchd_error": None,
    }


def test_a_new_column_does_not_take_the_name_of_another_new_one():
    schema = SCHEMA | {"properties": {"a": {}, "answer_a": {}}}
    columns = Columns(a_task(output=TaskOutput(schema=schema)), layout("a"))
    assert columns.added == ("answer_a", "answer_answer_a", "batchd_error")


def test_an_object_has_names_of_its_own():
    """Of a table of objects nobody knows the names before the last is read."""
    columns = Columns(a_task(), layout(format="json"))
    assert columns.added == ("answer", "batchd_error")
    assert columns.values(good("x"), {"answer": "mine"}) == {
        "answer_answer": "x",
        "batchd_error": None,
    }
    assert columns.values(good("x"), {"text": "mine"}) == {"answer": "x", "batchd_error": None}


@pytest.mark.parametrize(
    "task", [a_task(), a_task(output=STRUCTURED), a_task(endpoint=MODERATIONS)]
)
def test_a_failed_row_has_its_reason_and_nothing_else(task):
    values = Columns(task, layout("a")).values(FAILED)
    assert values.pop("batchd_error") == "refusal: I'm sorry, but no"
    assert set(values.values()) == {None}


def test_a_reason_may_be_only_a_code():
    assert error_text(Answer("1", code="no_answer")) == "no_answer"


def test_an_answer_that_is_no_text_is_handed_on():
    """Without a schema a model may still call a tool."""
    assert Columns(a_task(), layout("a")).values(good(Raw(b'[{"id":"x"}]')))["answer"] == [
        {"id": "x"}
    ]


def test_a_vector_is_a_list():
    columns = Columns(a_task(endpoint=EMBEDDINGS), layout("a", format="parquet"))
    assert columns.values(good(Raw(b"[0.5,1.0]")))["embedding"] == [0.5, 1.0]
    none = Columns(a_task(endpoint=EMBEDDINGS), layout("a"))
    assert none.values(good(Raw(b"[0.5,1.0]"))) == {"batchd_error": None}


def test_a_moderation_says_for_what():
    result = Raw(b'{"flagged":true,"categories":{"hate":true,"self-harm":false,"violence":true}}')
    values = Columns(a_task(endpoint=MODERATIONS), layout("a")).values(good(result))
    assert values == {"flagged": True, "categories": "hate, violence", "batchd_error": None}


@pytest.mark.parametrize("output", [Raw(b"[]"), Raw(b"{}")])
def test_a_moderation_without_a_word_is_empty(output):
    values = Columns(a_task(endpoint=MODERATIONS), layout("a")).values(good(output))
    assert not any(values.values())
