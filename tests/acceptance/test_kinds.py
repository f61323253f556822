"""One table, dropped in every kind there is: each comes back in its own, answered alike."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from openpyxl import load_workbook

from tests.acceptance.processes import processes_in
from tests.acceptance.tables import delivered_to, drop_into, with_ready_tasks
from tests.houses import read_lines

pytestmark = pytest.mark.processes

COLUMNS = ("id", "text", "stars")
ROWS = (
    ("a-1", "Great, I love it", "5"),
    ("b 2", 'Terrible;\twith "quotes"\nand a second line', "1"),
    ("ü-3", "It came on Tuesday, señor Ωmega", "3"),
)
SENTIMENTS = ["positive", "negative", "neutral"]


def delimited(delimiter: str, encoding: str = "utf-8", end: str = "\n") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([COLUMNS, *ROWS])
    return text.getvalue().encode(encoding)


def objects() -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def lines() -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects()).encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(objects()), sink)
    return sink.getvalue()


def workbook() -> bytes:
    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, {"in_memory": True}) as book:
        sheet = book.add_worksheet("reviews")
        for number, row in enumerate([COLUMNS, *ROWS]):
            sheet.write_row(number, 0, row)
    return sink.getvalue()


def from_csv(path: Path) -> list[list[Any]]:
    return from_delimited(path, ",", "utf-8")


def from_delimited(path: Path, delimiter: str, encoding: str) -> list[list[Any]]:
    with path.open(encoding=encoding, newline="") as source:
        return list(csv.reader(source, delimiter=delimiter, strict=True))


def from_objects(found: list[dict[str, Any]]) -> list[list[Any]]:
    return [list(found[0]), *(list(each.values()) for each in found)]


def from_parquet(path: Path) -> list[list[Any]]:
    return from_objects(pq.read_table(path).to_pylist())


def from_workbook(path: Path) -> list[list[Any]]:
    return [list(row) for row in load_workbook(path).worksheets[0].iter_rows(values_only=True)]


Reader = Callable[[Path], list[list[Any]]]
#: what is dropped, what comes back, and how that is read
KINDS: dict[str, tuple[bytes, str, Reader]] = {
    "comma.csv": (delimited(","), "results.csv", from_csv),
    "semicolon.csv": (
        delimited(";", end="\r\n"),
        "results.csv",
        lambda path: from_delimited(path, ";", "utf-8"),
    ),
    "excels.csv": (
        delimited(";", "utf-8-sig"),
        "results.csv",
        lambda path: from_delimited(path, ";", "utf-8-sig"),
    ),
    "wide.csv": (
        delimited(",", "utf-16"),
        "results.csv",
        lambda path: from_delimited(path, ",", "utf-16"),
    ),
    "tabs.tsv": (
        delimited("\t"),
        "results.tsv",
        lambda path: from_delimited(path, "\t", "utf-8"),
    ),
    "packed.csv.gz": (gzip.compress(delimited(",")), "results.csv", from_csv),
    "array.json": (
        json.dumps(objects(), indent=1).encode(),
        "results.json",
        lambda path: from_objects(json.loads(path.read_bytes())),
    ),
    "lines.jsonl": (lines(), "records.jsonl", lambda path: from_objects(read_lines(path))),
    "newline.ndjson.gz": (
        gzip.compress(lines()),
        "records.jsonl",
        lambda path: from_objects(read_lines(path)),
    ),
    "columns.parquet": (parquet(), "results.parquet", from_parquet),
    "sheet.xlsx": (workbook(), "results.xlsx", from_workbook),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """All kinds, dropped at once."""
    folder = tmp_path_factory.mktemp("kinds")
    root = folder / "root"
    with_ready_tasks(folder)
    with processes_in(folder) as processes:
        sandbox = processes.sandbox()
        for name, (content, _, _) in KINDS.items():
            drop_into(root, "sentiment", name, content)
        processes.daemon(root, sandbox)
        yield {name: delivered_to(processes, root, name.partition(".")[0]) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_it_comes_back_in_its_own_kind_with_the_answers_beside_its_rows(folders, name):
    content, result, read = KINDS[name]
    header, *rows = read(folders[name] / result)

    assert list(header) == [*COLUMNS, "reason", "sentiment", "batchd_error"]
    assert [tuple(row[:3]) for row in rows] == list(ROWS)
    assert [row[4] for row in rows] == SENTIMENTS
    assert {row[5] for row in rows} <= {"", None}
    assert (folders[name] / "input" / name).read_bytes() == content


def test_the_answers_are_the_same_in_every_kind(folders):
    outputs = {
        name: [line["output"] for line in read_lines(folder / "results.jsonl")]
        for name, folder in folders.items()
    }
    assert all(found == outputs["comma.csv"] for found in outputs.values())
