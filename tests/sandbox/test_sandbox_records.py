"""Several records in one request: an answer for each, and what may be wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchd.sandbox.answers import answer_for
from batchd.sandbox.records import line_of
from tests.sandbox.schema_checker import problems
from tests.sandbox.support import CHAT, talking

ANSWER = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": ["rent", "food", "wages"]},
        "note": {"type": "string"},
    },
    "required": ["category", "note"],
    "additionalProperties": False,
}


def for_records(answer: dict[str, Any], **more: Any) -> dict[str, Any]:
    members = {"id": {"type": "string"}, "answer": answer}
    entry = {
        "type": "object",
        "properties": members,
        "required": ["id", "answer"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"records": {"type": "array", "items": entry}},
        "required": ["records"],
        "additionalProperties": False,
        **more,
    }


def asked(ids: list[str], text: str) -> str:
    return f"{text}\n\nAnswer with one entry per record.\nids: {json.dumps(ids)}"


def chat_body(content: Any, schema: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
    form = {"name": "answers", "strict": strict, "schema": schema}
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def chat_answer(body: dict[str, Any]) -> Any:
    return json.loads(answer_for(CHAT, body)["choices"][0]["message"]["content"])


TEXT = "17: REWE, -45.10\n18: rent, -900\n19: salary, 3000"


def test_each_id_has_an_entry_that_fits_the_schema_and_is_recognised():
    schema = for_records(ANSWER)
    value = chat_answer(chat_body(asked(["17", "18", "19"], TEXT), schema))

    assert problems(value, schema) == []
    assert [entry["id"] for entry in value["records"]] == ["17", "18", "19"]
    assert value["records"][1]["answer"]["note"].startswith("18: rent, -900")


def test_a_record_has_the_same_answer_in_whatever_company():
    schema = for_records(ANSWER)
    together = chat_answer(chat_body(asked(["17", "18", "19"], TEXT), schema))
    alone = chat_answer(chat_body(asked(["18"], "18: rent, -900"), schema))

    assert alone["records"] == together["records"][1:2]


def test_responses_and_texts_in_parts_are_answered_likewise():
    schema = for_records({"type": "string"})
    parts = [{"type": "text", "text": asked(["a", "b"], "a: one\nb: two")}]
    body = {
        "model": "gpt-4o-mini",
        "input": asked(["a", "b"], "a: one\nb: two"),
        "text": {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": schema}},
    }
    answer = answer_for("/v1/responses", body)["output"][0]["content"][0]["text"]

    assert json.loads(answer) == chat_answer(chat_body(parts, schema))
    assert [entry["answer"][:6] for entry in json.loads(answer)["records"]] == ["a: one", "b: two"]


def test_what_the_entries_refer_to_lies_at_the_top():
    schema = for_records({"$ref": "#/$defs/sum"}, **{"$defs": {"sum": {"type": "integer"}}})
    value = chat_answer(chat_body(asked(["1"], "1: x"), schema))

    assert isinstance(value["records"][0]["answer"], int)


@pytest.mark.parametrize("text", ["no ids here", "ids: 17, 18", 'ids: ["17"]\nand more'])
def test_without_a_list_of_ids_it_is_an_answer_like_any_other(text):
    schema = for_records(ANSWER)
    value = chat_answer(chat_body(text, schema))

    assert problems(value, schema) == []
    assert not {"17", "18"} & {entry["id"] for entry in value["records"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("17: a\n7: b", "7: b"),
        ("- id 7, b", "- id 7, b"),
        ('[7] "b"', '[7] "b"'),
        ("\n\n7", "7"),
        ("17, 7 b", None),
        ("a.7: b\n70: c\nx 7.5", "a.7: b"),
    ],
)
def test_a_records_words_are_on_the_line_that_begins_with_its_id(text, found):
    assert line_of("7", text) == found


# What goes wrong


def line(name: str, ids: list[str]) -> dict[str, Any]:
    text = "\n".join(f"{each}: text {each}" for each in ids)
    body = chat_body(asked(ids, text), for_records(ANSWER))
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": body}


async def texts_of(lines: list[dict[str, Any]], *rules: dict[str, Any]) -> list[dict[str, str]]:
    """The texts of the answers by custom_id, of two batches one after the other."""
    async with talking(faults={"answer_faults": list(rules)}) as talk:
        found = []
        for _ in range(2):
            batch = await talk.run(lines)
            answers = await talk.lines_of(batch["output_file_id"])
            found.append({each["custom_id"]: _text(each) for each in answers})
    return found


def _text(answer: dict[str, Any]) -> str:
    return str(answer["response"]["body"]["choices"][0]["message"]["content"])


def ids_in(text: str) -> list[str]:
    return [entry["id"] for entry in json.loads(text)["records"]]


async def test_entries_are_missing_for_their_first_so_many_answers():
    rule = {"what": "drop", "ids": ["2"], "times": 1}
    first, second = await texts_of([line("1", ["1", "2", "3"])], rule)

    assert ids_in(first["1"]) == ["1", "3"]
    assert ids_in(second["1"]) == ["1", "2", "3"]


async def test_a_share_of_the_entries_is_missing_the_same_ones_every_time():
    lines = [line(str(n), [str(n + m) for m in range(10)]) for n in range(1, 500, 10)]
    first, second = await texts_of(lines, {"what": "drop", "rate": 0.1})
    left = [name for text in first.values() for name in ids_in(text)]

    assert 420 < len(left) < 480
    assert first == second


async def test_entries_come_twice_and_of_nobody():
    rules = ({"what": "repeat", "ids": ["1"]}, {"what": "invent", "ids": ["1", "2"]})
    first, _ = await texts_of([line("1", ["1", "2"])], *rules)

    assert ids_in(first["1"]) == ["1", "1", "invented-1", "2", "invented-2"]


async def test_an_entry_that_does_not_fit_leaves_the_others_as_they_are():
    first, _ = await texts_of([line("1", ["1", "2"])], {"what": "misfit", "ids": ["2"]})
    one, two = json.loads(first["1"])["records"]

    assert problems(one["answer"], ANSWER) == []
    assert problems(two["answer"], ANSWER) != []


async def test_a_whole_answer_is_no_json_by_the_name_of_its_request():
    rule = {"what": "not_json", "ids": ["r1"], "times": 1}
    first, second = await texts_of([line("r1", ["1"]), line("r2", ["2"])], rule)

    with pytest.raises(json.JSONDecodeError):
        json.loads(first["r1"])
    assert ids_in(first["r2"]) == ["2"]
    assert ids_in(second["r1"]) == ["1"]


async def test_an_answer_to_one_record_is_spoilt_by_the_name_of_its_request():
    body = chat_body("hello", ANSWER)
    lines = [{"custom_id": "7", "method": "POST", "url": CHAT, "body": body}]
    first, _ = await texts_of(lines, {"what": "misfit", "ids": ["7"]})

    assert problems(json.loads(first["7"]), ANSWER) != []


async def test_plain_text_stays_as_it_is():
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    lines = [{"custom_id": "7", "method": "POST", "url": CHAT, "body": body}]
    first, _ = await texts_of(lines, {"what": "not_json", "ids": ["7"]})

    assert first["7"] == answer_for(CHAT, body)["choices"][0]["message"]["content"]


async def test_the_faults_are_switched_off_while_it_runs():
    async with talking(faults={"answer_faults": [{"what": "drop", "rate": 1}]}) as talk:
        await talk.http.put("/sandbox/faults", json={"answer_faults": None})
        batch = await talk.run([line("1", ["1", "2"])])
        (answer,) = await talk.lines_of(batch["output_file_id"])

    assert ids_in(_text(answer)) == ["1", "2"]
