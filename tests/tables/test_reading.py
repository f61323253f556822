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
    assert (problem.code, problem.line) == ("not_decodable", 30_000)
    assert f"byte {len(content):,} of the file is no letter in utf-8" in problem.message
    assert "begins on line 30001" in problem.message


def test_a_packed_table_that_is_cut_is_told(dropped):
    path = dropped("a.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-4])
    assert problem_of(path).code == "gzip_cut"
