"""What the provider would refuse, or nobody could answer, is found in the task."""

from typing import Any

import msgspec
import pytest

from batchd.core.task_rules import OWN_METADATA, faults, name_fault
from batchd.core.tasks import (
    EMBEDDINGS,
    MODERATIONS,
    RESPONSES,
    Images,
    Task,
    TaskInput,
    TaskOutput,
)

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OF_LIST = "{% for record in records %}{{ record.id }}: {{ record.text }}{% endfor %}"


def a_task(**given):
    return Task(**{"name": "t", "model": "m", "prompt": "{{ text }}", **given})


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = SCHEMA
    for _ in range(levels - 2):
        schema = SCHEMA | {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "task",
    [
        a_task(),
        a_task(system="Be brief.", endpoint=RESPONSES, parameters={"text": {"verbosity": "low"}}),
        a_task(endpoint=EMBEDDINGS, parameters={"dimensions": 256}, records_per_request=100),
        a_task(endpoint=MODERATIONS, images=Images(columns=("p",))),
        a_task(prompt=OF_LIST, records_per_request=10, output=TaskOutput(schema=SCHEMA)),
        a_task(prompt="{{ records | tojson }}", records_per_request=10),
        a_task(
            prompt="{% for r in records %}{{ r.tx }} {{ r.text }}{% endfor %}",
            records_per_request=10,
            input=TaskInput(id="tx"),
        ),
        a_task(output=TaskOutput(schema=nested(10))),
        a_task(parameters={"response_format": {"type": "json_object"}}),
        a_task(
            output=TaskOutput(schema=SCHEMA),
            parameters={"response_format": {"json_schema": {"strict": False}}, "stream": False},
        ),
        a_task(
            output=TaskOutput(schema=SCHEMA),
            endpoint=RESPONSES,
            parameters={"text": {"format": {"strict": False}}},
        ),
        a_task(metadata={f"k{n}": "v" for n in range(12)}),
        a_task(input=TaskInput(format="text", record="file", encoding="cp1252", delimiter="\t")),
        a_task(endpoint="/chat/completions"),
    ],
)
def test_a_good_task_has_no_fault(task):
    assert list(faults(task)) == []


#: What is wrong, the key it is said of, a part of the message, and of the remedy.
FAULTY: list[tuple[dict[str, Any], str, str, str]] = [
    ({"endpoint": "/v1/chat/completion"}, "endpoint", "no endpoint", '"/v1/chat/completions"?'),
    ({"endpoint": "/v1/videos"}, "endpoint", "no endpoint", ""),
    ({"endpoint": "zzz"}, "endpoint", "no endpoint", "Use one of"),
    ({"model": " "}, "model", "empty", "gpt-5-nano"),
    ({"prompt": "\n"}, "prompt", "empty", "{{ text }}"),
    ({"prompt": "a\n{{ b"}, "prompt", "prompt, line 2", "Close every"),
    ({"prompt": "{{ a | nosuch }}"}, "prompt", "nosuch", "shorten(chars)"),
    ({"prompt": "{{ Job Title }}"}, "prompt", "line 1", 'record["Job Title"]'),
    ({"prompt": "{% include 'x' %}"}, "prompt", "no other templates", "by itself"),
    ({"system": "{% if a %}"}, "system", "system, line 1", "{% if %}"),
    ({"records_per_request": 3}, "prompt", "sees a list", "for record in records"),
    (
        {"records_per_request": 3, "prompt": "{% for r in records %}{{ r.text }}{% endfor %}"},
        "prompt",
        "does not show the records' ids",
        "record.id",
    ),
    ({"records_per_request": 0}, "records_per_request", "is 0", "1 or more"),
    ({"records_per_request": 3000, "endpoint": EMBEDDINGS}, "records_per_request", "2,048", ""),
    (
        {"records_per_request": 2, "prompt": OF_LIST, "input": TaskInput(record="file")},
        "input.record",
        "share",
        "records_per_request",
    ),
    ({"system": "x", "endpoint": EMBEDDINGS}, "system", "no system text", ""),
    ({"output": TaskOutput(name="my answer")}, "output.name", "my answer", "64"),
    ({"output": TaskOutput(column="")}, "output.column", "column", "Name another"),
    ({"output": TaskOutput(column="batchd_error")}, "output.column", "batchd_error", ""),
    (
        {"output": TaskOutput(schema=SCHEMA), "endpoint": MODERATIONS},
        "output.schema",
        "own form",
        "",
    ),
    (
        {"output": TaskOutput(schema=SCHEMA | {"properties": {"a": {"type": "object"}}})},
        "output.schema.properties.a",
        "would refuse the schema",
        "properties",
    ),
    (
        {
            "output": TaskOutput(schema=nested(10)),
            "records_per_request": 2,
            "prompt": OF_LIST,
        },
        "output.schema.properties.records.items.properties.answer" + ".properties.a" * 7,
        "11 levels",
        "Flatten",
    ),
    ({"parameters": {"messages": []}}, "parameters.messages", "not for", "`prompt`"),
    ({"parameters": {"stream": True}}, "parameters.stream", "not for", "as a whole"),
    ({"parameters": {"model": "x"}}, "parameters.model", "not for", "above"),
    ({"parameters": {"n": 3}}, "parameters.n", "one answer", ""),
    ({"parameters": {"a": [float("nan")]}}, "parameters.a.0", "nan", "number"),
    (
        {
            "output": TaskOutput(schema=SCHEMA),
            "parameters": {"response_format": {"type": "json_object"}},
        },
        "parameters.response_format",
        "[output] schema asks",
        "one of them",
    ),
    (
        {
            "records_per_request": 2,
            "prompt": OF_LIST,
            "endpoint": RESPONSES,
            "parameters": {"text": {"format": {"type": "json_schema", "schema": {}}}},
        },
        "parameters.text.format",
        "records_per_request asks",
        "",
    ),
    (
        {"parameters": {"response_format": 3}, "output": TaskOutput(schema=SCHEMA)},
        "parameters.response_format",
        "",
        "",
    ),
    ({"metadata": {f"k{n}": "" for n in range(13)}}, "metadata", "12 have room", "[defaults"),
    ({"metadata": {"batchd_job": "x"}}, "metadata.batchd_job", "own", ""),
    ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 65, "65", ""),
    ({"metadata": {"k": "x" * 513}}, "metadata.k", "513", ""),
    ({"images": Images(columns=())}, "images.columns", "no column", ""),
    ({"images": Images(columns=("a",)), "endpoint": EMBEDDINGS}, "images", "no images", ""),
    (
        {"images": Images(columns=("a",)), "endpoint": MODERATIONS, "records_per_request": 2},
        "images",
        "one record",
        "",
    ),
    ({"input": TaskInput(record="file", format="csv")}, "input.record", "plain text", ""),
    ({"input": TaskInput(delimiter="tab")}, "input.delimiter", "one character", ""),
    ({"input": TaskInput(encoding="utf8mb4")}, "input.encoding", "utf8mb4", "cp1252"),
    ({"input": TaskInput(encoding="base64")}, "input.encoding", "base64", ""),
    ({"input": TaskInput(encoding="a\0")}, "input.encoding", "no encoding", ""),
    ({"input": TaskInput(id="")}, "input.id", "empty", ""),
]


@pytest.mark.parametrize(("given", "key", "message", "remedy"), FAULTY)
def test_a_fault_names_its_key_and_what_to_write(given, key, message, remedy):
    found = list(faults(a_task(**given)))
    assert key in [".".join(fault.path) for fault in found]
    fault = next(one for one in found if ".".join(one.path) == key)
    assert message in fault.message
    assert remedy in fault.remedy
    assert fault.remedy


def test_a_template_knows_the_line_within_it():
    (fault,) = faults(a_task(prompt="one\ntwo\n{{ three"))
    assert fault.line == 3


@pytest.mark.parametrize("name", ["sentiment", "job-postings_2", "größe"])
def test_a_name_that_is_a_folder_and_a_word(name):
    assert name_fault(name) is None


@pytest.mark.parametrize("name", ["my task", "-x", "", "a.b", "a/b"])
def test_a_name_that_is_neither(name):
    fault = name_fault(name)
    assert fault is not None
    assert "Rename" in fault.remedy


def test_batchds_own_metadata_is_what_it_sends():
    """stages/submit.py is read, because it must not be imported here."""
    import re
    from pathlib import Path

    submit = Path(__file__).parents[2] / "batchd" / "stages" / "submit.py"
    written = set(re.findall(r'"(batchd_\w+|description)":', submit.read_text()))
    assert written == set(OWN_METADATA)


def test_faults_are_all_said_at_once():
    task = a_task(model="", prompt="", endpoint="x", metadata={"description": "x"})
    assert len(list(faults(task))) == 4
    assert isinstance(task, msgspec.Struct)
