"""What a table is, and the records in it."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from batchd.core.problems import Problem
from batchd.core.records import BadTable, Layout, Record
from batchd.core.tasks import TaskInput
from batchd.tables import find_layout, records_of


def go_on() -> None:
    pass


@pytest.fixture
def dropped(tmp_path):
    def drop(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return drop


def read(path: Path, **spec) -> tuple[Layout, list[Record]]:
    layout = find_layout(path, TaskInput(**spec), name=path.name, pause=go_on)
    return layout, list(records_of(path, layout, pause=go_on))


def problem_of(path: Path, **spec) -> Problem:
    with pytest.raises(BadTable) as bad:
        read(path, **spec)
    return bad.value.problem


def test_a_name_that_says_nothing_asks_for_another(dropped):
    path = dropped("jobs.dat", b"a,b\n1,2\n")
    assert problem_of(path).code == "unknown_table"
    assert read(path, format="csv")[0].format == "csv"


# CSV and TSV


def test_a_table_is_read_as_the_csv_module_reads_it(dropped):
    text = 'id,text\r\n1,"a\r\nb"\r\n2,"say ""c"""\r\n3,\t d \r\n'
    path = dropped("jobs.csv", text.encode())
    _, found = read(path)
    with path.open(newline="") as file:
        assert [r.fields for r in found] == list(csv.DictReader(file))
    assert [r.line for r in found] == [2, 4, 5]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_letters_are_read_whatever_their_encoding(dropped, encoding):
    text = "id;name\r\n1;Jörg Groß\r\n2;Käthe Müller\r\n"
    for path in (
        dropped("a.csv", text.encode(encoding)),
        dropped("a.csv.gz", gzip.compress(text.encode(encoding))),
    ):
        layout, found = read(path)
        assert (layout.columns, layout.delimiter) == (("id", "name"), ";")
        assert [r.fields["name"] for r in found] == ["Jörg Groß", "Käthe Müller"]


def test_a_list_of_sentences_under_one_name_is_a_table(dropped):
    _, found = read(dropped("a.csv", b"text\nHello, world; here I am.\nBye, all.\n"))
    assert [r.fields["text"] for r in found] == ["Hello, world; here I am.", "Bye, all."]


def test_a_tsv_has_tabs(dropped):
    layout, found = read(dropped("a.tsv", b"id\ttext\n1\ta, b\n"))
    assert (layout.format, found[0].fields) == ("tsv", {"id": "1", "text": "a, b"})


@pytest.mark.parametrize("content", [b"", b"\n", b"id,text\n", b"id,text"])
def test_a_table_without_a_row_is_empty(dropped, content):
    assert problem_of(dropped("a.csv", content)).code == "empty_file"


def test_a_byte_that_is_no_letter_is_told_with_its_row(dropped):
    rows = "".join(f"{n},Grüße\n" for n in range(1, 30_000))
    content = ("id,text\n" + rows + '30000,"two\nlines ').encode()
    problem = problem_of(dropped("a.csv", content + b'\xff"\n30001,b\n'))
    assert (problem.code, problem.row) == ("not_decodable", 30_000)
    assert f"byte {len(content):,} of the file is no letter in utf-8" in problem.message
    assert "begins on line 30001" in problem.message


def test_a_packed_table_that_is_cut_is_told(dropped):
    path = dropped("a.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-4])
    assert problem_of(path).code == "gzip_cut"


# Objects and text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"name": "Jörg Groß", "n": {"m": 1}}]'),
        ("a.jsonl", '{"name": "Jörg Groß", "n": {"m": 1}}\n'),
        ("a.json", '{"name": "Jörg Groß", "n": {"m": 1}}\n{"name": "Müller"}\n'),
    ],
)
def test_objects_are_read_whatever_their_encoding(dropped, name, content, encoding):
    layout, found = read(dropped(name, content.encode(encoding)))
    assert layout.columns == ()
    assert found[0].fields == {"name": "Jörg Groß", "n": {"m": 1}}
    assert layout.format == ("json" if content[0] == "[" else "jsonl")


def test_lines_are_no_array_where_the_task_says_that_it_is_one(dropped):
    path = dropped("a.json", b'{"a": 1}\n{"a": 2}\n')
    assert problem_of(path, format="json").code == "not_an_array"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n"])
def test_without_an_object_there_is_no_record(dropped, name, content):
    assert problem_of(dropped(name, content)).code in {"empty_file", "not_an_array"}
    assert problem_of(dropped("a.json", b"[]")).code == "empty_file"


def test_half_a_letter_of_utf_16_is_told_with_its_row(dropped):
    content = '[{"a": "x"}, {"a": "y"}]'.encode("utf-16")
    at = content.index(b"y")
    problem = problem_of(dropped("a.json", content[:at] + b"\x00\xd8" + content[at + 2 :]))
    assert (problem.code, problem.row) == ("not_decodable", 2)


def test_request_lines_need_no_task(dropped):
    line = b'{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}\n'
    assert problem_of(dropped("a.jsonl", line)).code == "request_lines"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_text_is_a_record_per_line_or_one(dropped, encoding):
    path = dropped("a.txt.gz", gzip.compress("Größe\r\n\r\nMaß\r\n".encode(encoding)))
    layout, found = read(path, column="line")
    assert [r.fields for r in found] == [{"line": "Größe"}, {"line": "Maß"}]
    assert (layout.columns, layout.line_end) == (("line",), "\r\n")
    _, (one,) = read(path, record="file")
    assert one.fields == {"text": "Größe\r\n\r\nMaß\r\n"}


def test_whoever_waits_can_stop_the_reading(dropped):
    path = dropped("a.csv", b"a,b\n" + b"1,2\n" * 2_000_000)
    looks = list[int]()

    def stop() -> None:
        looks.append(1)
        if len(looks) == 5:
            raise TimeoutError

    layout = find_layout(path, TaskInput(), name=path.name, pause=go_on)
    with pytest.raises(TimeoutError):
        list(records_of(path, layout, pause=stop))
