"""Excel: rows out of a workbook, and the same rows with columns added."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import pytest
import xlsxwriter
from openpyxl import load_workbook

from batchd.core.problems import Problem
from batchd.core.records import BadTable
from batchd.core.tasks import TaskInput
from batchd.tables import ResultTable, find_layout, records_of
from tests.workbooks import book, package, relations, sheet

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
    found = load_workbook(target)
    rows = found.worksheets[0].iter_rows(values_only=True)
    return found.sheetnames, [["" if one is None else one for one in row] for row in rows]


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


def test_what_a_workbook_says_it_unpacks_to_is_held_against_the_limit(tmp_path):
    """What a zip file says it unpacks to is believed: Python reads no more of it."""
    path = tmp_path / "a.xlsx"
    workbook(path, {"Jobs": ROWS})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("x", "")
        file.infolist()[-1].file_size = 1 << 31  # as its list of contents will say
    with pytest.raises(BadTable) as bad:
        find_layout(path, TaskInput(), name=path.name, pause=go_on, most=1 << 30)
    assert bad.value.problem.code == "inflates_too_far"
    assert "inbox.max_inflated_bytes" in bad.value.problem.remedy


def cells(*places: str) -> str:
    """Rows of cells, each of which has its place as its text."""
    rows = dict[int, str]()
    for place in places:
        row = int(place.lstrip("ABCDEFGHIJ"))
        text = f'<c r="{place}" t="inlineStr"><is><t>{place}</t></is></c>'
        rows[row] = rows.get(row, "") + text
    return "".join(f'<row r="{row}">{content}</row>' for row, content in rows.items())


def area(path: Path, said: str, *places: str) -> Path:
    """Write a sheet that says which cells it uses."""
    before = f'<dimension ref="{said}"/>' if said else ""
    return package(path, "", **{"xl/worksheets/sheet1.xml": sheet(cells(*places), before=before)})


@pytest.mark.parametrize("said", ["A1:C3", "A1:B3", "A1", "", "A1:XFD1048576"])
def test_a_note_beside_the_table_is_a_column_without_a_name(tmp_path, said):
    """Whatever the sheet says of its columns: many programs do not know."""
    path = area(tmp_path / "a.xlsx", said, "A1", "B1", "A2", "C3")
    if said == "A1:B3":
        problem = problem_of(path)
        assert (problem.code, problem.row) == ("wrong_width", 2)
        assert '"C3" on line 3' in problem.message
        return
    layout, records = read(path)
    assert layout.columns == ("A1", "B1", "column_3")
    assert [list(one.fields.values()) for one in records] == [["A2", "", ""], ["", "", "C3"]]


@pytest.mark.parametrize("said", ["B3:C5", "A1", "", "A1:C5"])
def test_a_table_may_begin_anywhere_in_the_sheet(tmp_path, said):
    path = area(tmp_path / "a.xlsx", said, "B3", "C3", "B5", "C5")
    layout, (one,) = read(path)
    assert (layout.columns, one.fields) == (("B3", "C3"), {"B3": "B5", "C3": "C5"})
    assert (one.row, one.line) == (1, 5)


@pytest.mark.parametrize("said", ["A1:C3", "", "B1:C3"])
def test_the_index_that_pandas_writes_without_a_name_is_a_column(tmp_path, said):
    path = area(tmp_path / "a.xlsx", said, "B1", "C1", "A2", "B2", "C2")
    if said == "B1:C3":
        assert '"A2" on line 2' in problem_of(path).message
        return
    layout, (one,) = read(path)
    assert one.fields == {"column_1": "A2", "B1": "B2", "C1": "C2"}
    assert layout.header == ("", "B1", "C1")


def test_a_hidden_sheet_is_not_the_first_that_a_person_sees(tmp_path):
    both = '<sheet name="H" sheetId="1" state="veryHidden" r:id="h"/><sheet name="S" sheetId="2" r:id="s"/>'
    path = package(
        tmp_path / "a.xlsx",
        cells("A1", "A2"),
        **{
            "xl/workbook.xml": book(both),
            "xl/_rels/workbook.xml.rels": relations(
                h=("worksheet", "hidden.xml"), s=("worksheet", "worksheets/sheet1.xml")
            ),
            "xl/hidden.xml": sheet(cells("B1", "B2")),
        },
    )
    assert read(path)[0].columns == ("A1",)
    assert read(path, sheet="H")[0].columns == ("B1",)


def test_damage_behind_some_rows_is_told_with_the_row(tmp_path):
    bad = '<row r="4"><c r="A4" t="s"><v>9</v></c></row>'
    problem = problem_of(package(tmp_path / "a.xlsx", cells("A1", "A2") + bad))
    assert (problem.code, problem.row) == ("excel_damaged", 2)
    assert "behind line 2 of the sheet (a cell has text 9" in problem.message


def test_all_that_a_workbook_may_hold_comes_back(path):
    """Control letters, line breaks of any kind, what looks like an escape: as they were."""
    texts = ["a\rb", "a\r\nb", "\x01\x1f", "_x000D_", " spaces ", "😀", "=1+1", "\ttab"]
    workbook(path, {"Jobs": [["text"], *([text] for text in texts)]})
    target = path.with_name("results.xlsx")
    layout, records = read(path)
    assert [one.fields["text"] for one in records] == texts
    table = ResultTable(target, layout, ["again"])
    for record in records:
        table.write(record, {"again": record.fields["text"]})
    table.close()
    _, results = read(target)
    assert [tuple(one.fields.values()) for one in results] == [(text, text) for text in texts]


def test_durations_and_times_come_back_as_such(path):
    values = [datetime.timedelta(days=1, hours=2), datetime.time(3, 4, 5)]
    with xlsxwriter.Workbook(path) as file:
        one = file.add_worksheet("Jobs")
        one.write_row(0, 0, ["long", "when"])
        for at, (value, form) in enumerate(zip(values, ("[h]:mm:ss", "hh:mm:ss"), strict=True)):
            one.write_datetime(1, at, value, file.add_format({"num_format": form}))
    _, (record,) = read(path)
    assert record.fields == {"long": "1 day, 2:00:00", "when": "03:04:05"}
    _, rows = rewritten(path, ["answer"], {"answer": 1})
    assert rows[1] == [*values, 1]


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
