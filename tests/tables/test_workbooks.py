"""A workbook's package: which sheets it has and where they lie, as various programs write it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from batchd.tables.parts import BadPart
from batchd.tables.workbooks import MOST_HELD, Workbook
from tests.workbooks import DAY, book, package, relations, sheet

CELL = '<row r="1"><c r="A1" t="inlineStr"><is><t>here</t></is></c></row>'
TWO = '<sheet name="One" sheetId="1" state="hidden" r:id="a"/><sheet name="Two" sheetId="2" r:id="b"/>'


def go_on() -> None:
    pass


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.xlsx"


def rows_of(path: Path, at: int = 0) -> list[tuple[int, list[object]]]:
    found = Workbook(path)
    try:
        with found.opened(found.sheets[at], pause=go_on) as opened:
            return list(opened.rows())
    finally:
        found.close()


def said_of(path: Path) -> str:
    with pytest.raises(BadPart) as bad:
        rows_of(path)
    return str(bad.value)


def test_sheets_are_those_with_cells_in_the_order_that_people_see(path):
    package(
        path,
        CELL,
        **{
            "xl/workbook.xml": book(TWO + '<sheet name="Chart" sheetId="3" r:id="c"/>'),
            "xl/_rels/workbook.xml.rels": relations(
                b=("worksheet", "worksheets/sheet1.xml"),
                a=("worksheet", "worksheets/other.xml"),
                c=("chartsheet", "chartsheets/sheet1.xml"),
            ),
            "xl/worksheets/other.xml": sheet('<row r="3"><c r="A3"><v>3</v></c></row>'),
        },
    )
    found = Workbook(path)
    assert [(one.name, one.is_hidden) for one in found.sheets] == [("One", True), ("Two", False)]
    found.close()
    assert rows_of(path, 0) == [(3, [3])]
    assert rows_of(path, 1) == [(1, ["here"])]


def test_texts_and_formats_are_found(path):
    rows = f'<row r="1"><c r="A1" t="s"><v>1</v></c><c r="B1" s="{DAY}"><v>45000</v></c></row>'
    package(path, rows, texts="<si><t>a</t></si><si><t>b</t></si>")
    [(_, [text, day])] = rows_of(path)
    assert (text, day.isoformat()) == ("b", "2023-03-15")


@pytest.mark.parametrize("written", ["1", "true"])
def test_the_first_day_may_be_that_of_1904(path, written):
    one = book('<sheet name="S" sheetId="1" r:id="rows"/>', date1904=written)
    rows = f'<row r="1"><c r="A1" s="{DAY}"><v>45000</v></c></row>'
    package(path, rows, **{"xl/workbook.xml": one})
    [(_, [day])] = rows_of(path)
    assert day.isoformat() == "2027-03-16"


def test_formats_may_be_missing(path):
    package(
        path,
        CELL,
        **{"xl/_rels/workbook.xml.rels": relations(rows=("worksheet", "worksheets/sheet1.xml"))},
    )
    assert rows_of(path) == [(1, ["here"])]


def test_names_of_parts_may_be_written_as_windows_does(tmp_path, path):
    package(tmp_path / "usual.xlsx", CELL)
    with zipfile.ZipFile(tmp_path / "usual.xlsx") as usual, zipfile.ZipFile(path, "w") as other:
        for one in usual.infolist():
            other.writestr(
                one.filename.replace("/", "\\").replace("sheet1", "Sheet1"), usual.read(one)
            )
    assert rows_of(path) == [(1, ["here"])]


def test_the_strict_kind_of_the_format_is_read_too(tmp_path, path):
    """Excel's "Strict Open XML Spreadsheet" has other addresses for the same names."""
    package(tmp_path / "usual.xlsx", CELL)
    with zipfile.ZipFile(tmp_path / "usual.xlsx") as usual, zipfile.ZipFile(path, "w") as strict:
        for one in usual.infolist():
            content = usual.read(one)
            for name in (b"spreadsheetml/2006/main", b"officeDocument/2006/relationships"):
                content = content.replace(
                    b"http://schemas.openxmlformats.org/" + name,
                    b"http://purl.oclc.org/ooxml/" + name.replace(b"/2006", b""),
                )
            strict.writestr(one.filename, content)
    assert rows_of(path) == [(1, ["here"])]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a zip file"),
        (b"id,text\n1,2\n", "not a zip file"),
        (b"PK\x03\x04 and then nothing", "not a zip file"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000), r"before 2007"),
    ],
)
def test_what_is_no_package_is_told(path, content, said):
    path.write_bytes(content)
    assert said in said_of(path)


def test_a_password_is_told(path):
    """Office puts a workbook with a password into the container that .xls had."""
    header = bytearray(512)
    header[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    header[30:32] = (9).to_bytes(2, "little")  # sectors of 512 bytes
    header[48:52] = (1).to_bytes(4, "little")  # the directory is the second
    path.write_bytes(header + bytes(512) + "EncryptedPackage".encode("utf-16-le").ljust(512, b"\0"))
    assert "password" in said_of(path)
    assert "2007" not in said_of(path)


def test_another_kind_of_package_is_told(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", "<office/>")
    assert said_of(path) == "it is an .ods, an OpenDocument"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("_rels/.rels", relations(book=("officeDocument", "xl/workbook.bin")))
    assert said_of(path) == "it is an .xlsb"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<document/>")
    assert said_of(path) == "there is no xl/workbook.xml in it"


def test_a_sheet_that_is_not_there_is_told(path):
    package(path, CELL, **{"xl/_rels/workbook.xml.rels": relations(rows=("worksheet", "gone.xml"))})
    assert said_of(path) == "there is no xl/gone.xml in it"


def test_damage_is_told(path):
    package(path, CELL * 5000)
    content = bytearray(path.read_bytes())
    at = content.index(b"xl/worksheets/sheet1.xml") + 60
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert said_of(path)


def test_xml_that_breaks_off_is_told(path):
    package(path, CELL, **{"xl/worksheets/sheet1.xml": sheet(CELL)[:-40]})
    assert "line 1" in said_of(path)


def test_a_part_that_is_held_whole_may_not_fill_the_memory(path):
    package(path, CELL, **{"xl/styles.xml": "<styleSheet>" + " " * MOST_HELD + "</styleSheet>"})
    assert said_of(path) == "xl/styles.xml in it has more than 32,000,000 bytes"


def test_what_it_unpacks_to_is_what_it_says(path):
    package(path, CELL)
    found = Workbook(path)
    with zipfile.ZipFile(path) as file:
        assert found.inflated == sum(len(file.read(one)) for one in file.namelist())
    found.close()
