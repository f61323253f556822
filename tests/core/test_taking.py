"""Each record gets its own of an answer, and what does not fit says why."""

import msgspec
import pytest
from msgspec import Raw

from batchd.core.answers import Answer, Soft
from batchd.core.taking import Taker, opened
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, RESPONSES, Task, TaskOutput
from batchd.core.usage import Usage

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["income", "expense"]},
        "day": {"type": ["string", "null"], "format": "date"},
    },
    "required": ["kind", "day"],
    "additionalProperties": False,
}
GOOD = '{"kind": "income", "day": "2026-02-28"}'
USAGE = Usage(input_tokens=10, output_tokens=5)


def a_task(**given):
    return Task(**{"name": "t", "model": "m", "prompt": "p", **given})


STRUCTURED = a_task(output=TaskOutput(schema=SCHEMA))
GROUPED = a_task(output=TaskOutput(schema=SCHEMA), records_per_request=3)
TEXTS = a_task(records_per_request=3)


def take(task, answer, *rows):
    """Ask for rows, each with an id of its own."""
    return Taker(task).take(answer, [(row, f"id{row}") for row in rows])


def said(output, **more):
    return Answer("7", output=output, status=200, usage=USAGE, model="m", **more)


def only(taken):
    ((row, answer),) = taken.answers
    assert (row, answer.custom_id) == (7, "id7")
    return answer


# One record


def test_a_plain_text_is_the_records_own():
    answer = only(take(a_task(), said("hello"), 7))
    assert (answer.output, answer.code, answer.usage) == ("hello", None, USAGE)


def test_an_object_that_fits_is_kept_as_it_stands():
    answer = only(take(STRUCTURED, said(f"\n{GOOD}\n"), 7))
    assert answer.code is None
    assert answer.output == Raw(b'{"kind":"income","day":"2026-02-28"}')


def test_numbers_keep_their_digits():
    schema = SCHEMA | {"properties": {"n": {"type": "number"}}, "required": ["n"]}
    task = a_task(output=TaskOutput(schema=schema))
    output = only(take(task, said('{"n": 1.10000000000000000001}'), 7)).output
    assert output == Raw(b'{"n":1.10000000000000000001}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I'd say income", "not JSON"),
        ("", "not JSON"),
        ('{"kind": "income"', "not JSON"),
        ('{"kind": NaN, "day": null}', "not JSON"),
        ("[" * 5_000, "not JSON"),
        ('{"kind": "gift", "day": null}', "kind: "),
        ('{"kind": "income", "day": null, "x": 1}', "'x' was unexpected"),
        ('{"kind": "income"}', '"day" is a required'),
        ('{"kind": "income", "day": "today"}', "day: "),
        ('["income"]', "not of type"),
        ("null", "not of type"),
        (None, "empty"),
    ],
)
def test_what_does_not_fit_says_where_and_why_and_keeps_its_text(text, why):
    answer = only(take(STRUCTURED, said(text), 7))
    assert answer.code == "invalid_output"
    assert answer.message is not None
    assert why in answer.message
    assert len(answer.message) <= 300
    assert (answer.output, answer.raw, answer.usage) == (None, text, USAGE)


def test_an_answer_that_was_cut_off_says_so():
    answer = only(take(STRUCTURED, said('{"kind": "inc', soft=Soft.TRUNCATED), 7))
    assert answer.code == "invalid_output"
    assert answer.message is not None
    assert "cut off at its token limit" in answer.message


def test_a_long_value_does_not_make_a_long_reason():
    answer = only(take(STRUCTURED, said('{"kind": "%s", "day": null}' % ("x" * 5_000)), 7))
    assert answer.message is not None
    assert len(answer.message) <= 200


def test_an_endless_text_is_not_kept_whole():
    answer = only(take(STRUCTURED, said("blah " * 100_000), 7))
    assert answer.raw is not None
    assert len(answer.raw) == 100_000


@pytest.mark.parametrize("fence", ["```json\n%s\n```", "```\n%s```", "  ```JSON\n%s\n```\n"])
def test_json_between_fences_is_json(fence):
    taken = take(STRUCTURED, said(fence % GOOD), 7)
    assert only(taken).code is None
    assert taken.oddities == {"fenced_json": 1}


def test_half_a_letter_is_no_reason_to_stumble():
    answer = only(take(STRUCTURED, said(r'{"kind": "\ud800", "day": null}'), 7))
    assert answer.code == "invalid_output"


DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (STRUCTURED, '{"kind": DEEP, "day": null}'),
        (GROUPED, '{"records": [{"id": "id7", "answer": {"kind": DEEP, "day": null}}]}'),
        (GROUPED, '{"records": [{"id": "id7", "answer": DEEP}]}'),
    ],
)
def test_what_is_nested_too_deeply_to_be_checked_does_not_fit(task, text):
    """A shard whose answer can't be judged would be collected again and again."""
    answer = only(take(task, said(text.replace("DEEP", DEEP)), 7))
    assert answer.code == "invalid_output"
    assert answer.message is not None
    assert "cannot be checked" in answer.message


# One answer, several records


def entries(*given):
    return said(msgspec.json.encode({"records": list(given)}).decode())


def entry(id_, kind="income"):
    return {"id": id_, "answer": {"kind": kind, "day": None}}


def by_row(taken):
    return {row: answer.code or msgspec.json.decode(answer.output) for row, answer in taken.answers}


def test_each_record_gets_its_entry_whatever_their_order():
    taken = take(GROUPED, entries(entry("id9", "expense"), entry("id7")), 7, 9)
    assert by_row(taken) == {
        7: {"kind": "income", "day": None},
        9: {"kind": "expense", "day": None},
    }
    assert [answer.custom_id for _, answer in taken.answers] == ["id7", "id9"]
    assert taken.oddities == {}


def test_usage_is_no_single_records_where_several_share_it():
    taken = take(GROUPED, entries(entry("id7"), entry("id8")), 7, 8)
    assert [answer.usage for _, answer in taken.answers] == [None, None]
    assert take(GROUPED, entries(entry("id7")), 7).answers[0][1].usage == USAGE


def test_a_record_without_an_entry_is_missing_alone():
    taken = take(GROUPED, entries(entry("id7")), 7, 8)
    assert by_row(taken) == {7: {"kind": "income", "day": None}, 8: "missing_record"}


def test_a_bad_entry_is_its_records_own_failure_and_keeps_its_text():
    taken = take(GROUPED, entries(entry("id7", "gift"), entry("id8"), {"id": "id9"}), 7, 8, 9)
    first, second, third = (answer for _, answer in taken.answers)
    assert (first.code, second.code, third.code) == ("invalid_output", None, "invalid_output")
    assert first.raw is not None
    assert "gift" in first.raw
    assert third.message == 'the entry has no "answer"'


def test_one_record_gets_of_an_open_answer_what_it_gets_among_the_others():
    """Delivering goes record by record, and reads an answer for several only once."""
    answers = (
        entries(entry("id1"), entry("id2", "gift"), entry("id2"), entry("id9")),
        entries({"id": "id3", "answer": None}, entry("id3", "gift")),
        said("not JSON"),
        said('{"records": [{"id": "id2", "answer": {"kind": "in', soft=Soft.TRUNCATED),
        Answer("1", code="server_error", message="boom"),
    )
    for answer in answers:
        together = take(GROUPED, answer, 1, 2, 3).answers
        group, taker = opened(answer), Taker(GROUPED)
        assert [(row, taker.take_one(group, f"id{row}")) for row in (1, 2, 3)] == together


def test_an_invented_id_is_counted_and_nobodys():
    taken = take(GROUPED, entries(entry("id7"), entry("99")), 7)
    assert by_row(taken) == {7: {"kind": "income", "day": None}}
    assert taken.oddities == {"invented_ids": 1}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([entry("id7"), entry("id7", "expense")], "income"),
        ([entry("id7", "gift"), entry("id7", "expense")], "expense"),
    ],
)
def test_of_an_id_that_comes_twice_the_first_that_fits_counts(given, kind):
    taken = take(GROUPED, entries(*given), 7)
    assert by_row(taken) == {7: {"kind": kind, "day": None}}
    assert taken.oddities == {"repeated_ids": 1}


def test_a_number_as_an_id_is_the_same_id():
    task = a_task(records_per_request=2)
    taken = Taker(task).take(entries({"id": 7, "answer": "x"}), [(7, "7")])
    assert taken.answers[0][1].output == "x"


def test_without_a_schema_each_gets_a_text():
    taken = take(TEXTS, entries({"id": "id7", "answer": "x"}, {"id": "id8", "answer": 3}), 7, 8)
    assert [answer.output for _, answer in taken.answers] == ["x", None]
    assert taken.answers[1][1].code == "invalid_output"


@pytest.mark.parametrize("text", ["sorry", "[]", '{"records": {}}', '{"answers": []}', None])
def test_what_is_no_list_of_records_fails_all_alike_and_keeps_the_text(text):
    taken = take(GROUPED, said(text), 7, 8)
    assert [(row, answer.code) for row, answer in taken.answers] == [
        (7, "invalid_output"),
        (8, "invalid_output"),
    ]
    assert {answer.raw for _, answer in taken.answers} == {text}


WHOLE = '{"records": [{"id": "id7", "answer": {"kind": "income", "day": null}}, {"id": "id8", '


@pytest.mark.parametrize("tail", ["", '"answer": {"kind": "inc', '"answer": {"kind": "\\u00'])
def test_what_came_whole_before_an_answer_was_cut_off_counts(tail):
    """It is paid for; and the rest, asked for again by itself, may have room."""
    taken = take(GROUPED, said(WHOLE + tail, soft=Soft.TRUNCATED), 7, 8)
    assert by_row(taken) == {7: {"kind": "income", "day": None}, 8: "missing_record"}
    message = taken.answers[1][1].message
    assert message is not None
    assert "cut off at its token limit before" in message


@pytest.mark.parametrize("text", ['{"records": [{"id": "id7", "ans', '{"rec', "[[[", None])
def test_an_answer_cut_off_before_its_first_entry_fails_all_alike(text):
    taken = take(GROUPED, said(text, soft=Soft.TRUNCATED), 7, 8)
    assert by_row(taken) == {7: "invalid_output", 8: "invalid_output"}


def test_half_an_answer_that_was_not_cut_off_is_not_looked_through():
    assert by_row(take(GROUPED, said(WHOLE), 7)) == {7: "invalid_output"}


def test_blanks_around_an_id_are_lost_on_the_way():
    task = a_task(records_per_request=2)
    taken = Taker(task).take(entries({"id": "7 a", "answer": "x"}), [(7, " 7 a ")])
    assert [(a.custom_id, a.output) for _, a in taken.answers] == [(" 7 a ", "x")]


def test_entries_that_are_none_are_passed_over():
    taken = take(GROUPED, entries("x", {"answer": 1}, {"id": None}, entry("id7")), 7)
    assert taken.answers[0][1].code is None


@pytest.mark.parametrize("task", [a_task(), STRUCTURED, GROUPED])
def test_a_failed_answer_fails_each_of_its_records(task):
    rows = (7, 8) if task.is_grouped else (7,)
    taken = take(task, Answer("7", status=500, code="server_error", message="oh"), *rows)
    assert [(row, a.custom_id, a.code, a.message) for row, a in taken.answers] == [
        (row, f"id{row}", "server_error", "oh") for row in rows
    ]


# Vectors and moderations


def test_a_vector_is_the_records_own():
    task = a_task(endpoint=EMBEDDINGS)
    assert only(take(task, said(Raw(b"[0.1,0.2]")), 7)).output == Raw(b"[0.1,0.2]")


def test_vectors_are_taken_apart_in_the_order_of_the_texts():
    task = a_task(endpoint=EMBEDDINGS, records_per_request=2)
    taken = take(task, said([Raw(b"[1]"), Raw(b"[2]")]), 7, 8)
    assert [(row, answer.output) for row, answer in taken.answers] == [
        (7, Raw(b"[1]")),
        (8, Raw(b"[2]")),
    ]


def test_the_last_text_of_a_file_may_travel_alone():
    task = a_task(endpoint=EMBEDDINGS, records_per_request=2)
    assert only(take(task, said(Raw(b"[1]")), 7)).output == Raw(b"[1]")


def test_too_few_vectors_are_nobodys():
    task = a_task(endpoint=EMBEDDINGS, records_per_request=3)
    taken = take(task, said([Raw(b"[1]"), Raw(b"[2]")]), 7, 8, 9)
    assert {answer.code for _, answer in taken.answers} == {"missing_record"}


@pytest.mark.parametrize("rows", [(7,), (7, 8)])
def test_moderations_are_taken_apart_likewise(rows):
    task = a_task(endpoint=MODERATIONS, records_per_request=len(rows))
    results = [{"flagged": bool(row % 2), "categories": {}} for row in rows]
    taken = take(task, said(Raw(msgspec.json.encode(results))), *rows)
    assert [msgspec.json.decode(answer.output) for _, answer in taken.answers] == results


@pytest.mark.parametrize("output", [None, "sorry", Raw(b"{}")])
def test_what_is_no_list_of_moderations_is_nobodys(output):
    task = a_task(endpoint=MODERATIONS)
    assert only(take(task, said(output), 7)).code == "missing_record"


def test_an_answer_of_responses_is_checked_like_any_other():
    task = a_task(endpoint=RESPONSES, output=TaskOutput(schema=SCHEMA))
    assert only(take(task, said(GOOD), 7)).code is None


def test_a_schema_is_not_fetched_from_anywhere():
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    with pytest.raises(Exception, match="127"):
        Taker(a_task(output=TaskOutput(schema=schema)))
