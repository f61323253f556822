"""Results as tables: what the sender dropped, and what was added."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of


def go_on() -> None:
    pass


def rewritten(path: Path, added=(), values=None, **spec) -> bytes:
    """The bytes of a table that is read and written again, with the same values in every row."""
    layout = find_layout(path, TaskInput(**spec), name=path.name, pause=go_on)
    target = path.with_name("result")
    table = ResultTable(target, layout, added)
    for record in records_of(path, layout, pause=go_on):
        table.write(record, values or {})
    table.close()
    return target.read_bytes()


@pytest.fixture
def dropped(tmp_path):
    def drop(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return drop


# CSV and TSV


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp932"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_without_added_columns_it_is_the_table_as_it_was(dropped, encoding, end):
    """What is to be tried again is dropped again: by then it must look the same."""
    text = ',name\n0,Straße\n1,"Müller, Köln"\n' if encoding != "cp932" else ",name\n0,日本の本\n"
    content = text.replace("\n", end).encode(encoding)
    assert rewritten(dropped("a.csv", content), encoding=encoding) == content


def test_columns_are_added_at_the_end(dropped):
    path = dropped("a.tsv.gz", gzip.compress(b"id\ttext\r\n1\ta\r\n"))
    content = rewritten(path, ["answer", "batchd_error"], {"answer": "b\tc\nd"})
    assert content == b'id\ttext\tanswer\tbatchd_error\r\n1\ta\t"b\tc\nd"\t\r\n'


def test_an_answer_with_letters_that_the_table_lacks_is_written_in_utf_8(dropped):
    path = dropped("a.csv", "id;name\n1;Jörg Groß\n2;Käthe Müller\n".encode("cp1252"))
    content = rewritten(path, ["answer"], {"answer": "日本"})
    assert content.decode("utf-8-sig").splitlines()[1] == "1;Jörg Groß;日本"
    assert content.startswith(b"\xef\xbb\xbf")


def test_half_a_letter_in_an_answer_loses_nothing_else(dropped):
    content = rewritten(dropped("a.csv", b"id\n1\n"), ["answer"], {"answer": "a\ud800b"})
    assert content == b"id,answer\n1,a?b\n"


def test_the_senders_columns_are_equal_after_parsing(dropped):
    rows = [["id", "text", ""], ["007", ' "a" \r\n\tb', "1,50"], ["", "x" * 200_000, "\0"]]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    content = rewritten(dropped("a.csv", text.getvalue().encode()), ["answer"], {"answer": "ok"})
    again = list(csv.reader(io.StringIO(content.decode(), newline="")))
    assert [row[:3] for row in again] == rows
    assert [row[3] for row in again] == ["answer", "ok", "ok"]


def test_a_file_that_was_handed_in_stays_open(dropped):
    path = dropped("a.csv", b"id\n1\n")
    layout = find_layout(path, TaskInput(), name=path.name, pause=go_on)
    file = io.BytesIO()
    table = ResultTable(file, layout, ["answer"])
    for record in records_of(path, layout, pause=go_on):
        table.write(record, {})
    table.close()
    assert file.getvalue() == b"id,answer\n1,\n"


# Objects and text


def test_objects_keep_their_bytes(dropped):
    path = dropped("a.json", b'[{"a": 1.10,\n "b": {}}, {"a": 1e3}]')
    content = rewritten(path, ["ok"], {"ok": {"x": True}})
    assert content == b'[\n{"a": 1.10,\n "b": {},"ok":{"x":true}},\n{"a": 1e3,"ok":{"x":true}}\n]\n'


def test_lines_keep_their_bytes(dropped):
    content = rewritten(dropped("a.jsonl", b'{"a": 1.10}\r\n\n{"a": 2}'), ["ok"], {"ok": None})
    assert content == b'{"a": 1.10,"ok":null}\n{"a": 2,"ok":null}\n'


@pytest.mark.parametrize("record", ["line", "file"])
def test_text_is_written_as_it_was(dropped, record):
    content = "Größe\r\nMaß\r\n".encode("utf-16")
    assert rewritten(dropped("a.txt", content), record=record) == content
