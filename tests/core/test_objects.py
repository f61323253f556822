"""Records that are JSON objects: cut out of arrays and lines, and given back as they were."""

from __future__ import annotations

import io
import json
import random

import pytest

from batchd.core import objects
from batchd.core.records import BadTable

NATIVE = b'{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}\n'


def array(content: bytes):
    return list(objects.records_of_array(io.BytesIO(content)))


def lines(content: bytes):
    return list(objects.records_of_lines(io.BytesIO(content)))


def problem_of(read, content: bytes):
    with pytest.raises(BadTable) as bad:
        read(content)
    return bad.value.problem


# Arrays


def test_objects_are_cut_out_as_they_stand():
    content = b' [\n {"a": 1.10, "b": [{"c": "}]"}]},\n\n{"a":"\\"}"}\n]\n\n'
    one, two = array(content)
    assert (one.row, one.line, one.raw) == (1, 2, b'{"a": 1.10, "b": [{"c": "}]"}]}')
    assert (two.row, two.line, two.fields) == (2, 4, {"a": '"}'})


@pytest.mark.parametrize("indent", [None, 2])
def test_any_array_that_json_writes_is_read(indent):
    """Letters that mean something, across the ends of pieces of a megabyte."""
    dice = random.Random(7)
    letters = '"\\{}[],: \nä日😀x'
    text = lambda: "".join(dice.choices(letters, k=dice.randrange(3000)))
    rows = [{"id": n, "t": text(), "deep": [{"t": [text()]}, {}, []]} for n in range(700)]
    for ascii_only in (True, False):
        content = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
        assert len(content) > 2 << 20
        found = array(content)
        assert [r.fields for r in found] == rows
        place = [content[: content.index(r.raw)].count(b"\n") + 1 for r in found[:50]]
        assert [r.line for r in found[:50]] == place


def test_an_object_larger_than_a_piece_is_whole():
    rows = [{"a": "x" * 5_000_000}, {"a": 2}]
    assert [r.fields for r in array(json.dumps(rows).encode())] == rows


def test_an_array_may_be_empty():
    assert array(b" [ ] ") == []


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        (b'{"a": 1}', "not_an_array", None),
        (b"", "not_an_array", None),
        (b"id,text", "not_an_array", None),
        (b'[{"a": 1}, 2]', "not_an_object", 2),
        (b'[{"a": 1}, [{"a": 2}]]', "not_an_object", 2),
        (b'[{"a": 1}, {"a": }]', "not_json", 2),
        (b'[{"a": NaN}]', "not_json", 1),
        (b'[{"a": 1} {"a": 2}]', "not_json", 1),
        (b'[{"a": 1},]', "not_json", 2),
        (b'[{"a": 1}] x', "not_json", 1),
        (b"[", "json_cut", 1),
        (b'[{"a": 1}', "json_cut", 1),
        (b'[{"a": 1},', "json_cut", 2),
        (b'[{"a": 1}, {"a": "}]', "json_cut", 2),
        (b'[{"a": "\xff"}]', "not_decodable", 1),
    ],
)
def test_what_is_wrong_with_an_array_is_told_with_its_row(content, code, row):
    problem = problem_of(array, content)
    assert (problem.code, problem.row) == (code, row)
    assert problem.remedy


@pytest.mark.parametrize("start", [b'[{"a": "', b'[{"a": [', b"[{"])
def test_an_object_without_end_is_not_read_into_memory(start):
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += size
            return start if self.given == size else bytes(size)

    endless = Endless()
    with pytest.raises(BadTable, match="longer than"):
        list(objects.records_of_array(endless))
    assert endless.given < 2 * objects.MAX_OBJECT + (4 << 20)


# Lines


def test_each_line_is_a_record():
    one, two = lines(b'{"a": 1}\r\n\n  \n {"a": {"b": [2]}}')
    assert (one.row, one.line, one.fields, one.raw) == (1, 1, {"a": 1}, b'{"a": 1}')
    assert (two.row, two.line, two.fields) == (2, 4, {"a": {"b": [2]}})


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        (b'{"a":1}\n\n{"a":}\n', "not_json", 2),
        (b'{"a":1}\n{"a":"', "not_json", 2),
        (b'[{"a":1}]\n', "not_an_object", 1),
        (b'{"a":1}\n"b"\n', "not_an_object", 2),
        (b'{"a":"\xe4"}\n', "not_decodable", 1),
        (NATIVE, "request_lines", None),
    ],
)
def test_what_is_wrong_with_lines_is_told_with_its_row(content, code, row):
    problem = problem_of(lines, content)
    assert (problem.code, problem.row) == (code, row)


def test_a_line_without_end_is_not_read_into_memory():
    content = b'{"a":"' + b"x" * objects.MAX_OBJECT
    assert problem_of(lines, content).code == "record_too_long"


@pytest.mark.parametrize(
    ("start", "is_lines"),
    [
        (b'{"a": 1}\n{"a": 2}\n', True),
        (b'\n{"a": 1}\n\n {"a": 2', True),
        (b'[{"a": 1},\n{"a": 2}]', False),
        (b'{"data": 1}\n', False),
        (b'{\n"a": 1}\n{"a": 2}', False),
    ],
)
def test_objects_in_lines_are_known_whatever_the_file_is_called(start, is_lines):
    assert objects.looks_like_lines(start) is is_lines


# Writing


@pytest.mark.parametrize(
    ("raw", "values", "again"),
    [
        (b'{"a": 1.10}', {}, b'{"a": 1.10}'),
        (b'{"a": 1.10}', {"b": [1], "c": None}, b'{"a": 1.10,"b":[1],"c":null}'),
        (b'{\n  "a": 1\n}', {"b": "x"}, b'{\n  "a": 1,"b":"x"}'),
        (b"{ }", {"b": 1}, b'{"b":1}'),
    ],
)
def test_members_are_added_and_the_rest_stays(raw, values, again):
    assert objects.with_members(raw, values) == again


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": 1}, {"a": 2}]])
def test_an_array_is_written_as_one(rows):
    file = io.BytesIO()
    writer = objects.Array(file)
    for record in array(json.dumps(rows).encode()):
        writer.write(record, {"b": "x"})
    writer.close()
    assert json.loads(file.getvalue()) == [{**row, "b": "x"} for row in rows]


def test_lines_are_written_as_lines():
    file = io.BytesIO()
    writer = objects.Lines(file)
    for record in lines(b'{"a": 1}\n\n{"a": 2}'):
        writer.write(record, {})
    writer.close()
    assert file.getvalue() == b'{"a": 1}\n{"a": 2}\n'
