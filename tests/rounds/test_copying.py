"""The sender's bytes of each record are those that reading the table gives; else it is read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from batchd.core.rows import RowSet
from batchd.core.tasks import TaskInput
from batchd.rounds.copying import copied
from batchd.rounds.examining import Into, examine_table
from batchd.rounds.table import Table
from batchd.spool.signature import signature
from tests.houses import settings
from tests.rounds.rounds import a_task, nothing

TASK = a_task(input=TaskInput(id="key"))
TABLES = {
    "plain": "key,text\n1,a\n2,b\n3,c\n",
    "quoted": 'key,text\n" 1","a ""b"",\nc"\n\n  \n2,"" \n"3",Größe 🙂\n',
    "mark and crlf": '\ufeffkey;text\r\n1;"a\nb"\r\n2;\r\n\r\n3;c ',
    "excel": "sep=;\r\nkey;text\r\n1;ä\r\n2;ö\r\n3;ü\r\n",
    "old": "key\ttext\r1\ta\r2\tb\r3\tc\r",
    "late header": '\n\nkey,text\n1,"x, y"\n2,"z"\n\n3,5" pipe\n',
}


def planned(
    folder: Path, content: str | bytes, task=TASK, name: str = "a.csv"
) -> tuple[Table, Into]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    into = Into(folder / "1.jsonl", folder / "ids", folder / "places")
    found = examine_table(path, task, settings(folder), pause=nothing, into=into)
    assert not found.problems.total, found.problems
    return Table(path, task, pause=nothing), into


def copies(table: Table, into: Into, rows: RowSet | None = None, count: int = 3):
    """Row, id and bytes of each record; None where the table is to be read."""
    found = copied(
        table,
        rows or RowSet(((1, count),)),
        places=into.places,
        ids=into.ids,
        signature=signature(table.path).as_text(),
        count=count,
        pause=nothing,
    )
    return None if found is None else [(r.row, table.id_of(r), r.raw) for r in found]


@pytest.mark.parametrize("name", TABLES)
def test_what_lies_there_is_the_record(tmp_path: Path, name: str):
    table, into = planned(tmp_path, TABLES[name])
    records = list(table.records())
    wanted = [(r.row, table.id_of(r), r.raw.rstrip("\r\n").encode()) for r in records]
    assert len(wanted) == 3
    assert copies(table, into) == wanted


def test_some_of_the_records_are_told_by_their_rows(tmp_path: Path):
    table, into = planned(tmp_path, TABLES["plain"])
    assert copies(table, into, RowSet.of([1, 3])) == [(1, "1", b"1,a"), (3, "3", b"3,c")]


def test_without_a_column_of_ids_the_row_is_the_id(tmp_path: Path):
    table, into = planned(tmp_path, TABLES["plain"], a_task())
    assert not into.ids.exists()
    assert copies(table, into) == [(1, "1", b"1,a"), (2, "2", b"2,b"), (3, "3", b"3,c")]


@pytest.mark.parametrize(
    ("name", "content", "spec"),
    [
        ("a.csv.gz", gzip.compress(TABLES["plain"].encode()), {}),
        ("a.csv", TABLES["plain"].replace("a", "ä").encode("cp1252"), {}),
        ("a.csv", ("\ufeff" + TABLES["plain"]).encode("utf-16-le"), {}),
        ("a.csv", TABLES["plain"], {"quote": ""}),
        ("a.jsonl", '{"key":1,"text":"a"}\n{"key":2,"text":"b"}\n{"key":3,"text":"c"}\n', {}),
        ("a.txt", "1\n2\n3\n", {"column": "key"}),
    ],
    ids=["packed", "cp1252", "utf-16", "no quotes", "objects", "text"],
)
def test_what_results_hold_in_another_way_is_read(
    tmp_path: Path, name: str, content: str | bytes, spec: dict[str, str]
):
    task = a_task(input=TaskInput(id="key", **spec), prompt="{{ key }}")
    table, into = planned(tmp_path, content, task, name)
    assert not into.places.exists()
    assert copies(table, into) is None


@pytest.mark.parametrize("what", ["gone", "damaged", "without ids", "more records"])
def test_where_the_notes_are_of_no_use_the_table_is_read(tmp_path: Path, what: str):
    table, into = planned(tmp_path, TABLES["plain"])
    if what == "gone":  # as with a job that an earlier version planned
        into.places.unlink()
    elif what == "damaged":
        into.places.write_bytes(into.places.read_bytes().replace(b"\x03", b"\x04"))
    elif what == "without ids":
        into.ids.unlink()
    assert copies(table, into, count=4 if what == "more records" else 3) is None


def test_notes_of_an_earlier_look_by_another_task_are_removed(tmp_path: Path):
    _, into = planned(tmp_path, TABLES["plain"])
    assert into.places.exists()
    planned(tmp_path, TABLES["plain"], a_task(input=TaskInput(quote="")))
    assert not into.places.exists()
    assert not into.ids.exists()
