"""Excel: rows out of a workbook, and the same rows with columns added."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import pytest
import python_calamine
import xlsxwriter

from batchd.core.problems import Problem
from batchd.core.records import BadTable
from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of
from batchd.tables.excel import MOST_HELD

DAY, MOMENT = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  # Excel knows no zones
ROWS = [
    ["id", "text", "", "day", "moment"],
    [1, "=a", True, DAY, MOMENT],
    [None, None, None, None, None],
    [2.5, "two\nlines", "", DAY, MOMENT],
]


def go_on() -> None:
    pass


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "a.xlsx"
    workbook(path, {"Notes": [["nothing", "here"], ["x", "y"]], "Jobs": ROWS})
    return path


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        form = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                for column, value in enumerate(row):
                    if isinstance(value, datetime.date):
                        sheet.write_datetime(at, column, value, form)
                    elif value is not None:
                        sheet.write(at, column, value)


def read(path: Path, **spec):
    layout = find_layout(path, TaskInput(**spec), name=path.name, pause=go_on)
    return layout, list(records_of(path, layout, pause=go_on))


def problem_of(path: Path, **spec) -> Problem:
    with pytest.raises(BadTable) as bad:
        read(path, **spec)
    return bad.value.problem


def rewritten(path: Path, added, values, **spec):
    layout, records = read(path, **spec)
    target = path.with_name("results.xlsx")
    table = ResultTable(target, layout, added)
    for record in records:
        table.write(record, values)
    table.close()
    book = python_calamine.CalamineWorkbook.from_path(target)
    return book.sheet_names, book.get_sheet_by_index(0).to_python()


def test_values_are_those_that_json_knows(path):
    layout, (one, two) = read(path, sheet="Jobs")
    assert layout.columns == ("id", "text", "column_3", "day", "moment")
    assert one.fields == {
        "id": 1,
        "text": "=a",
        "column_3": True,
        "day": "2026-01-02",
        "moment": "2026-01-02T03:04:05",
    }
    assert (one.row, one.line, type(one.fields["id"])) == (1, 2, int)
    assert (two.row, two.line, two.fields["id"], two.fields["column_3"]) == (2, 4, 2.5, "")


def test_the_first_sheet_is_read_where_the_task_names_none(path):
    layout, (one,) = read(path)
    assert (layout.columns, one.fields["here"]) == (("nothing", "here"), "y")


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(path):
    problem = problem_of(path, sheet="Job")
    assert problem.code == "sheet_missing"
    assert 'no sheet "Job"; it has "Notes", "Jobs"' in problem.message


def test_cells_stay_what_they_were(path):
    names, rows = rewritten(path, ("answer", "n"), {"answer": "=1+1", "n": 7}, sheet="Jobs")
    assert names == ["Jobs"]
    assert rows[0] == [*ROWS[0], "answer", "n"]
    assert rows[1][:3] == [1.0, "=a", True]
    assert rows[1][4:] == [MOMENT, "=1+1", 7.0]
    assert rows[2][:2] == [2.5, "two\nlines"]


def test_an_answer_longer_than_a_cell_is_cut_and_says_so(path):
    _, rows = rewritten(path, ("answer",), {"answer": "x" * 40_000})
    assert len(rows[1][2]) == 32_767
    assert rows[1][2].endswith("results.jsonl has all of it)")


@pytest.mark.parametrize("content", [b"", b"id,text\n", b"PK\x03\x04 and then nothing"])
def test_what_is_no_workbook_is_told(tmp_path, content):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    assert problem_of(path).code == "not_excel"


@pytest.mark.parametrize("rows", [[], [["id", "text"]]])
def test_a_sheet_without_a_row_is_empty(tmp_path, rows):
    workbook(tmp_path / "a.xlsx", {"Jobs": rows})
    assert problem_of(tmp_path / "a.xlsx").code == "empty_file"


def test_two_columns_of_one_name_are_refused(tmp_path):
    workbook(tmp_path / "a.xlsx", {"Jobs": [["id", "id"], [1, 2]]})
    assert problem_of(tmp_path / "a.xlsx").code == "duplicate_column"


def test_a_workbook_that_blows_up_is_not_loaded(path):
    with pytest.raises(BadTable) as bad:
        find_layout(path, TaskInput(), name=path.name, pause=go_on, most=1000)
    assert bad.value.problem.code == "inflates_too_far"


def test_a_workbook_that_no_memory_holds_is_refused_whatever_the_setting(tmp_path):
    """What a zip file says it unpacks to is believed: so much would be read."""
    path = tmp_path / "a.xlsx"
    workbook(path, {"Jobs": ROWS})
    with zipfile.ZipFile(path, "a") as book:
        book.writestr("x", "")
        book.infolist()[-1].file_size = MOST_HELD  # as its list of contents will say
    found = problem_of(path)
    assert found.code == "inflates_too_far"
    assert "CSV" in found.remedy


@pytest.mark.parametrize(
    "value", [10**30, -(10**400), (1 << 53) + 1], ids=["31 digits", "401 digits", "one too many"]
)
def test_a_number_that_no_cell_holds_keeps_its_digits_as_a_text(path, value):
    """An answer may hold any number that JSON does; delivering it must come to an end."""
    _, (_, *rows) = rewritten(path, ["answer"], {"answer": value})
    assert [row[-1] for row in rows] == [str(value)]


def test_a_sheet_that_other_programs_named_comes_back_under_a_name_of_excel(tmp_path):
    """LibreOffice and libraries write names longer than Excel's 31 letters."""
    name = "an export of all that was ever sold"
    workbook(tmp_path / "a.xlsx", {"SHEET": ROWS})
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx") as old,
        zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new,
    ):
        for one in old.infolist():
            new.writestr(one.filename, old.read(one).replace(b"SHEET", name.encode()))
    sheets, rows = rewritten(tmp_path / "b.xlsx", ["answer"], {"answer": "x"}, sheet=name)
    assert sheets == ["Sheet1"]
    assert [row[-1] for row in rows] == ["answer", "x", "x"]
