"""Of the lines that a task makes, the first tells of all: what is found is what reading each finds."""

from __future__ import annotations

from typing import Any

import pytest

from batchd.core.prompts import Renderer
from batchd.core.reading import RequestReader, Rules
from batchd.core.records import Record
from batchd.core.rendered import RenderedReader
from batchd.core.tasks import EMBEDDINGS, MODERATIONS, RESPONSES, Images, Task

PICTURE = "data:image/png;base64," + "A" * 30_000
RECORDS = [
    {"text": "one", "url": "https://a/1.png"},
    {"text": "", "url": "https://a/2.png"},
    {"text": "three\n" * 900, "url": PICTURE},
    {"text": 'vier "…" \ud83d\ude00', "url": "https://a/4.png"},
    {"text": ";base64," * 4000, "url": "https://a/5.png"},
]
TASKS = [
    {},
    {"system": "Be {{ text }}", "parameters": {"max_completion_tokens": 9, "n": 2}},
    {"images": Images(columns=("url",))},
    {"endpoint": RESPONSES, "parameters": {"background": True}},
    {"endpoint": RESPONSES, "images": Images(columns=("url",))},
    {"endpoint": EMBEDDINGS},
    {"endpoint": MODERATIONS},
    {"parameters": {"stream": True}},
    {"parameters": {"messages": []}},
    {"parameters": {"max_tokens": "many"}},
]


def words(_: str, text: str) -> int:
    return len(text.split())


def lines_of(**given: Any) -> list[tuple[int, bytes]]:
    renderer = Renderer(Task(**{"name": "t", "model": "m", "prompt": "{{ text }}", **given}))
    records = [Record(row, fields) for row, fields in enumerate(RECORDS, start=3)]
    return [(one.row, renderer.request([one], ids=[str(one.row)])) for one in records]


def told(reader: RequestReader, found: list[Any]) -> tuple[Any, ...]:
    said = (reader.warnings.as_dict(), reader.problems.listed, reader.problems.total)
    return found, reader.requests, reader.exact, *said


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"count": words},
        {"looks_for_repeated_keys": True},
        {"room": {"m": 300}},
        {"max_line_bytes": 2000},
    ],
)
def test_every_line_of_a_task_is_told_as_if_it_were_read(task: Any, rules: Any):
    lines, each = lines_of(**task), RequestReader(Rules(**rules))
    wanted = list[Any]()
    for row, line in lines:
        each.row = row - 1
        wanted.append(each.take(line))
    reader = RenderedReader(Rules(**rules))
    found = [reader.take_of(row, line) for row, line in lines]
    assert told(reader, found) == told(each, wanted)


def test_only_the_first_of_the_lines_is_read():
    """Otherwise it would be told that this is none: reading it all again is a fifth of the work."""
    reader = RenderedReader(Rules())
    first = reader.take_of(1, lines_of()[0][1])
    second = reader.take_of(2, b"not looked at")
    assert first is not None
    assert second is not None
    assert (second.custom_id, second.model, second.size) == ("2", first.model, 14)
    assert not reader.problems.total
