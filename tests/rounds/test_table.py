"""Records in order, so many at a time, and only those that are wanted."""

from pathlib import Path

import pytest

from batchd.core.records import BadTable, Record
from batchd.core.rows import RowSet
from batchd.core.templates import BadRecord
from batchd.rounds.table import Table, id_of
from tests.dropped_tables import table
from tests.rounds.rounds import GROUPED, TASK, nothing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(table(7))
    return path


def test_records_come_so_many_at_a_time(path: Path):
    chunks = Table(path, GROUPED, pause=nothing).chunks()
    assert [[record.row for record in chunk] for chunk in chunks] == [[1, 2, 3], [4, 5, 6], [7]]


def test_only_the_rows_that_are_left_are_put_together(path: Path):
    found = Table(path, GROUPED, pause=nothing).chunks(RowSet.of([2, 3, 5, 7]))
    assert [[record.row for record in chunk] for chunk in found] == [[2, 3, 5], [7]]


def test_reading_ends_with_the_last_row_that_is_wanted(path: Path):
    path.write_text(table(3) + "too,many,fields\n")
    records = Table(path, TASK, pause=nothing).records(RowSet.of([1, 3]))
    assert [record.row for record in records] == [1, 3]


def test_a_record_has_the_id_that_its_column_says(path: Path):
    named, plain = Table(path, GROUPED, pause=nothing), Table(path, TASK, pause=nothing)
    assert [named.id_of(record) for record in named.records()][:2] == ["k1", "k2"]
    assert [plain.id_of(record) for record in plain.records()][:2] == ["1", "2"]


def test_a_table_without_the_column_of_the_ids_is_refused_at_once(path: Path):
    path.write_text("id,text\n1,x\n")
    with pytest.raises(BadTable) as error:
        Table(path, GROUPED, pause=nothing)
    assert error.value.problem.code == "missing_column"
    assert "id, text" in error.value.problem.remedy


@pytest.mark.parametrize(
    ("value", "id"),
    [("A-1", "A-1"), (" a ", " a "), (17, "17"), (17.0, "17"), (1.5, "1.5"), (True, "true")],
)
def test_a_record_is_identified_by_its_column(value: object, id: str):
    assert id_of(Record(7, {"tx": value}), "tx") == id


@pytest.mark.parametrize("fields", [{"tx": ""}, {"tx": " "}, {"tx": None}, {"TX": "1"}])
def test_a_record_that_has_no_id_says_so(fields: dict[str, object]):
    with pytest.raises(BadRecord) as caught:
        id_of(Record(7, fields), "tx")
    problem = caught.value.problem
    assert (problem.row, problem.code, problem.param) == (7, "missing_id", "tx")
