"""Plain text: a record per line, or one of the whole file."""

from __future__ import annotations

import io

import pytest

from batchd.core import texts
from batchd.core.records import BadTable, Layout

BY_LINE = Layout(format="text", columns=("text",))
BY_FILE = Layout(format="text", columns=("letter",), record="file")


def read(content: str, layout: Layout = BY_LINE):
    return list(texts.records_of(io.StringIO(content, newline=""), layout))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_line_with_a_letter_is_a_record(end):
    found = read(end.join([" one ", "", "\t", "two"]))
    assert [(r.row, r.line, r.fields) for r in found] == [
        (1, 1, {"text": " one "}),
        (2, 4, {"text": "two"}),
    ]


def test_a_file_is_one_record_where_the_task_says_so():
    (one,) = read("Dear all,\r\n\r\nbye\r\n", BY_FILE)
    assert one.fields == {"letter": "Dear all,\r\n\r\nbye\r\n"}


@pytest.mark.parametrize("layout", [BY_LINE, BY_FILE])
def test_blank_text_has_no_record(layout):
    assert read(" \n\n", layout) == []


@pytest.mark.parametrize("layout", [BY_LINE, BY_FILE])
def test_a_text_without_end_is_not_read_into_memory(layout):
    with pytest.raises(BadTable) as bad:
        read("x" * (texts.MAX_TEXT + 1), layout)
    assert (bad.value.problem.code, bad.value.problem.row) == ("record_too_long", 1)


@pytest.mark.parametrize("layout", [BY_LINE, BY_FILE])
def test_what_is_written_again_is_what_was_read(layout):
    again = io.StringIO(newline="")
    writer = texts.Texts(again)
    for record in read("one\ntwo\n", layout):
        writer.write(record, {})
    assert again.getvalue() == "one\ntwo\n"
