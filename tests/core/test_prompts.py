"""A record becomes a request line that the Batch API takes, the same one every time."""

import msgspec
import pytest

from batchd.core import limits
from batchd.core.problems import Problem
from batchd.core.prompts import Renderer, addresses
from batchd.core.records import Record
from batchd.core.rules import broken_rule, read_line
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, RESPONSES, Images, Task, TaskOutput
from batchd.core.templates import BadRecord

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}
STRICT = {"name": "answer", "strict": True, "schema": SCHEMA}


def a_task(**given):
    return Task(**{"name": "t", "model": "gpt-5-nano", "prompt": "{{ text }}", **given})


def line_of(task, *fields, first=7, ids=None):
    records = [Record(first + n, one) for n, one in enumerate(fields)]
    ids = ids or [str(record.row) for record in records]
    return Renderer(task).request(records, ids=ids)


def body_of(task, *fields, **more):
    line = line_of(task, *fields, **more)
    assert b"\n" not in line
    read, unknown = read_line(line)
    assert (read.custom_id, read.method, read.url) == ("7", "POST", task.endpoint)
    assert unknown is None
    assert broken_rule(read, limits.accepted(("/v1",))) is None
    return msgspec.json.decode(line)["body"]


def problem_of(task, *fields, **more) -> Problem:
    with pytest.raises(BadRecord) as caught:
        line_of(task, *fields, **more)
    return caught.value.problem


# One record


def test_a_chat_has_its_messages():
    task = a_task(system="You translate into {{ language }}.\n", parameters={"temperature": 0})
    assert body_of(task, {"text": "Guten Tag", "language": "English"}) == {
        "model": "gpt-5-nano",
        "messages": [
            {"role": "system", "content": "You translate into English."},
            {"role": "user", "content": "Guten Tag"},
        ],
        "temperature": 0,
    }


def test_a_system_text_that_renders_to_nothing_is_left_out():
    task = a_task(system="{{ note }}")
    messages = body_of(task, {"text": "x", "note": ""})["messages"]
    assert messages == [{"role": "user", "content": "x"}]
    assert "instructions" not in body_of(
        a_task(system="{{ note }}", endpoint=RESPONSES), {"text": "x", "note": None}
    )


def test_a_schema_is_asked_for_strictly():
    body = body_of(a_task(output=TaskOutput(schema=SCHEMA)), {"text": "x"})
    assert body["response_format"] == {"type": "json_schema", "json_schema": STRICT}


def test_responses_have_instructions_and_input():
    task = a_task(
        endpoint=RESPONSES,
        system="Be brief.",
        output=TaskOutput(schema=SCHEMA, name="verdict"),
        parameters={"text": {"verbosity": "low"}, "max_output_tokens": 50},
    )
    assert body_of(task, {"text": "x"}) == {
        "model": "gpt-5-nano",
        "instructions": "Be brief.",
        "input": "x",
        "text": {
            "format": {"type": "json_schema", **STRICT, "name": "verdict"},
            "verbosity": "low",
        },
        "max_output_tokens": 50,
    }


@pytest.mark.parametrize("endpoint", [EMBEDDINGS, MODERATIONS])
def test_what_is_embedded_or_moderated_is_the_prompt(endpoint):
    task = a_task(endpoint=endpoint, prompt="{{ title }}: {{ text }}")
    assert body_of(task, {"title": "a", "text": "b"}) == {"model": "gpt-5-nano", "input": "a: b"}


def test_the_columns_of_a_record_are_names():
    task = a_task(prompt='{{ id }}|{{ row }}|{{ record["Job Title"] }}|{{ record.a.b }}|{{ a.b }}')
    body = body_of(task, {"Job Title": "Cook", "a": {"b": 1}}, ids=["x9"])
    assert body["messages"][0]["content"] == "x9|7|Cook|1|1"


def test_a_column_called_id_or_row_is_the_senders():
    task = a_task(prompt="{{ id }} {{ row }} {{ record.id }}")
    body = body_of(task, {"id": "A1", "row": "second"}, ids=["x"])
    assert body["messages"][0]["content"] == "A1 second A1"


def test_a_column_called_record_is_reached_through_the_record():
    task = a_task(prompt="{{ record.record }}")
    assert body_of(task, {"record": "gold"})["messages"][0]["content"] == "gold"


def test_what_a_record_says_stays_what_it_is():
    text = 'A "quote", a\nline, {{ 7 * 7 }}, <b>&amp;</b>, \\u0041, 你好 🎉\x00\u2028'
    assert body_of(a_task(), {"text": text})["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("text", "sent"), [("a\ud800b", "a\ufffdb"), ("\udcff", "\ufffd"), ("\ud83c\udf89", "🎉")]
)
def test_half_a_letter_is_no_reason_to_stumble(text, sent):
    assert body_of(a_task(), {"text": text})["messages"][0]["content"] == sent
    vision = a_task(images=Images(columns=("p",)))
    content = body_of(vision, {"text": text, "p": "https://x/y.png"})["messages"][0]["content"]
    assert content[0]["text"] == sent


def test_the_same_record_gives_the_same_bytes():
    task = a_task(output=TaskOutput(schema=SCHEMA), prompt="{{ record }}{{ text }}")
    fields = {"text": "x", "z": {"b": [1, {"c": None}], "a": 1.5}}
    assert line_of(task, fields) == line_of(task, dict(fields))


def test_parameters_win_over_what_batchd_puts():
    task = a_task(
        output=TaskOutput(schema=SCHEMA),
        parameters={"response_format": {"json_schema": {"strict": False}}},
    )
    asked = body_of(task, {"text": "x"})["response_format"]
    assert asked == {"type": "json_schema", "json_schema": STRICT | {"strict": False}}


def test_a_column_that_is_not_there_names_its_row():
    problem = problem_of(a_task(prompt="{{ Text }}"), {"text": "x"})
    assert (problem.row, problem.code, problem.param) == (7, "unknown_column", "Text")


# Images


def test_images_go_with_the_text():
    task = a_task(images=Images(columns=("front", "more"), detail="low"))
    fields = {"text": "x", "front": " https://x/1.png ", "more": ["https://x/2.png", None, ""]}
    assert body_of(task, fields)["messages"][0]["content"] == [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "https://x/1.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x/2.png", "detail": "low"}},
    ]


def test_responses_write_images_in_their_own_way():
    task = a_task(endpoint=RESPONSES, images=Images(columns=("p",)))
    assert body_of(task, {"text": "x", "p": "data:image/png;base64,AA"})["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {
                    "type": "input_image",
                    "image_url": "data:image/png;base64,AA",
                    "detail": "auto",
                },
            ],
        }
    ]


def test_images_are_moderated_with_their_text():
    task = a_task(endpoint=MODERATIONS, images=Images(columns=("p",)))
    assert body_of(task, {"text": "x", "p": "https://x/1.png"})["input"] == [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": "https://x/1.png"}},
    ]


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"p": ""}, "invalid_image", "p is empty"),
        ({"p": None}, "invalid_image", "p is empty"),
        ({"p": "photos/1.png"}, "invalid_image", "photos/1.png"),
        ({"p": 3}, "invalid_image", "3"),
        ({"P": "https://x/1.png"}, "unknown_column", 'no column "p"; there is text, P'),
    ],
)
def test_what_is_no_image_is_said_before_it_is_sent(fields, code, said):
    problem = problem_of(a_task(images=Images(columns=("p",))), {"text": "x", **fields})
    assert (problem.row, problem.code) == (7, code)
    assert said in problem.message
    assert problem.remedy


def test_addresses_are_read_in_the_order_of_the_columns():
    record = Record(1, {"a": "https://a", "b": ["http://b"]})
    assert list(addresses(record, ("b", "a"))) == ["http://b", "https://a"]


# Several records


GROUP = a_task(
    prompt="{% for r in records %}\n{{ r.id }} {{ r.row }}: {{ r.text }}\n{% endfor %}",
    records_per_request=3,
)


def test_several_records_are_asked_for_by_their_ids():
    body = body_of(GROUP, {"text": "a"}, {"text": "b"}, ids=["x", 'y"'])
    content = body["messages"][0]["content"]
    assert content == (
        "x 7: a\ny\" 8: b\n\n\nAnswer with one entry per record, under the record's id, in"
        ' "records".\nids: ["x","y\\""]'
    )
    assert msgspec.json.decode(content.splitlines()[-1].removeprefix("ids: ")) == ["x", 'y"']


@pytest.mark.parametrize(("schema", "answer"), [(SCHEMA, SCHEMA), (None, {"type": "string"})])
def test_the_answer_for_several_is_a_list_of_entries(schema, answer):
    task = msgspec.structs.replace(GROUP, output=TaskOutput(schema=schema))
    format_ = body_of(task, {"text": "a"})["response_format"]["json_schema"]
    assert format_["strict"] is True
    entry = format_["schema"]["properties"]["records"]["items"]
    assert entry["properties"] == {"id": {"type": "string"}, "answer": answer}
    assert entry["required"] == ["id", "answer"]


def test_in_a_group_the_id_is_the_one_that_is_asked_for():
    """Answers are told apart by it: a column of that name would mislead the model."""
    body = body_of(GROUP, {"text": "a", "id": "mine", "row": "r"}, ids=["x"])
    assert body["messages"][0]["content"].startswith("x r: a\n")


def test_a_column_that_a_group_lacks_is_named():
    problem = problem_of(GROUP, {"Text": "a"})
    assert problem.code == "unknown_column"
    assert "there is id, row, Text" in problem.message


def test_a_group_has_its_columns_one_by_one():
    task = msgspec.structs.replace(GROUP, prompt="{% if records %}{{ text }}{% endif %}")
    assert "{{ record.text }}" in problem_of(task, {"text": "a"}).remedy


def test_one_record_is_no_list():
    task = a_task(prompt="{% for r in records %}{{ r.text }}{% endfor %}")
    assert "records_per_request" in problem_of(task, {"text": "a"}).remedy


def test_in_a_group_each_image_says_whose_it_is():
    task = msgspec.structs.replace(GROUP, images=Images(columns=("p",)))
    content = body_of(
        task, {"text": "a", "p": "https://x/1.png"}, {"text": "b", "p": "https://x/2.png"}
    )["messages"][0]["content"]
    assert [part.get("text", part.get("image_url")) for part in content[:4]] == [
        "Image of record 7:",
        {"url": "https://x/1.png"},
        "Image of record 8:",
        {"url": "https://x/2.png"},
    ]
    assert content[4]["text"].endswith('ids: ["7","8"]')


@pytest.mark.parametrize("endpoint", [EMBEDDINGS, MODERATIONS])
def test_several_texts_are_a_list(endpoint):
    task = a_task(endpoint=endpoint, records_per_request=3)
    assert body_of(task, {"text": "a"}, {"text": "b"})["input"] == ["a", "b"]
    assert body_of(task, {"text": "a"})["input"] == ["a"]


def test_an_empty_text_would_cost_the_others_their_answer():
    task = a_task(endpoint=EMBEDDINGS, records_per_request=3)
    problem = problem_of(task, {"text": "a"}, {"text": ""})
    assert (problem.row, problem.code) == (8, "empty_input")
