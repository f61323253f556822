"""Parquet: rows out of it, and the same rows with columns added."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchd.core.records import BadTable
from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of

SOURCE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int32()),
        "text": pa.array(["a", None, "c"]),
        "price": pa.array([Decimal("1.10"), Decimal("2.00"), None], pa.decimal128(9, 2)),
        "at": pa.array([1_767_323_045_000] * 3, pa.timestamp("ms")),
        "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
        "kind": pa.array(["u", "v", "u"]).dictionary_encode(),
    }
)


def go_on() -> None:
    pass


@pytest.fixture
def path(tmp_path) -> Path:
    pq.write_table(SOURCE, tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def read(path: Path):
    layout = find_layout(path, TaskInput(), name=path.name, pause=go_on)
    return layout, list(records_of(path, layout, pause=go_on))


def rewritten(path: Path, added=(), values=()) -> pa.Table:
    layout, records = read(path)
    target = path.with_name("results.parquet")
    table = ResultTable(target, layout, added)
    for at, record in enumerate(records):
        table.write(record, values[at] if values else {})
    table.close()
    return pq.read_table(target)


def long_table(tmp_path, rows: int) -> Path:
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"id": list(range(rows))}), path, row_group_size=700)
    return path


def test_values_are_those_that_json_knows(path):
    layout, (one, two, _) = read(path)
    assert layout.columns == ("id", "text", "price", "at", "tags", "kind")
    assert one.fields == {
        "id": 1,
        "text": "a",
        "price": "1.10",
        "at": "2026-01-02T03:04:05",
        "tags": ["x"],
        "kind": "u",
    }
    assert (two.row, two.line, two.fields["text"], two.fields["tags"]) == (2, None, None, [])


def test_without_added_columns_it_is_the_same_table(path):
    assert rewritten(path).equals(SOURCE)


def test_rows_left_out_are_not_there(path):
    layout, records = read(path)
    file = io.BytesIO()
    table = ResultTable(file, layout, ())
    table.write(records[2], {})
    table.close()
    assert pq.read_table(file).to_pylist() == SOURCE.slice(2).to_pylist()


def test_added_columns_have_the_types_of_their_values(path):
    added = ("n", "is", "vector", "words", "object", "nothing", "batchd_error")
    values = {"n": 3, "is": True, "vector": [0.5, -1.0], "words": ["a"], "object": {"a": 1}}
    found = rewritten(path, added, [values, {}, values])
    assert found.select(SOURCE.column_names).equals(SOURCE)
    kinds = [str(found.schema.field(name).type) for name in added]
    assert kinds[:3] == ["int64", "bool", "list<element: double>"]
    assert kinds[3:] == ["list<element: string>", "string", "string", "string"]
    assert found["vector"].to_pylist() == [[0.5, -1.0], None, [0.5, -1.0]]
    assert found["object"].to_pylist() == ['{"a":1}', None, '{"a":1}']


def test_a_type_may_show_late(tmp_path):
    """Thousands of rows without an answer, then one; a number after thousands without a point."""
    path = long_table(tmp_path, 5000)
    values = [
        {"late": None if n < 4000 else 1.5, "n": 1 if n < 4000 else 2.5, "mixed": "a" if n else 1}
        for n in range(5000)
    ]
    values[4500]["mixed"] = 7
    found = rewritten(path, ("late", "n", "mixed"), values)
    assert found["id"].to_pylist() == list(range(5000))
    assert found["late"].to_pylist() == [one["late"] for one in values]
    assert found["n"].to_pylist() == [float(one["n"]) for one in values]
    assert found["mixed"].to_pylist() == [str(one["mixed"]) for one in values]


def test_the_senders_notes_stay(tmp_path):
    """pandas keeps there what its index was."""
    path = tmp_path / "a.parquet"
    pq.write_table(SOURCE.replace_schema_metadata({"pandas": "{}"}), path)
    assert rewritten(path, ("a",)).schema.metadata == {b"pandas": b"{}"}


@pytest.mark.parametrize("content", [b"", b"id,text\n", b"PAR1 and then nothing"])
def test_what_is_no_parquet_is_told(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(BadTable) as bad:
        read(path)
    assert bad.value.problem.code == "not_parquet"


def test_damage_is_told_with_its_row(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"t": [str(n) * 9 for n in range(5000)]}), path, row_group_size=2048)
    content = bytearray(path.read_bytes())
    second = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = second.dictionary_page_offset or second.data_page_offset
    content[start : start + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(BadTable) as bad:
        read(path)
    assert bad.value.problem.code == "parquet_damaged"
    assert bad.value.problem.row == 2049


def test_a_table_without_a_row_is_empty(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(SOURCE.slice(0, 0), path)
    with pytest.raises(BadTable, match="no record"):
        read(path)
