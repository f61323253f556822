"""Rows out of a sheet: what each kind of cell is, however a program wrote it."""

from __future__ import annotations

import datetime
import io

import pytest

from batchd.tables.parts import BadPart
from batchd.tables.sheets import Formats, Sheet, formats_of
from tests.workbooks import DAY, DAYS, DURATION, ISO_DAY, MOMENT, REIWA, STYLES, TIME, sheet

TEXTS = ["zero", "one", "two"]
CODES = {164: "[h]:mm:ss", 165: r"yyyy\-mm\-dd;@", 166: '0.00 "days"', 167: "hh:mm"}
FORMATS = formats_of(CODES, [0, *STYLES])


def go_on() -> None:
    pass


def opened(rows: str, formats: Formats = FORMATS, **more: str) -> Sheet:
    stream = io.BytesIO(sheet(rows, **more).encode())
    return Sheet(stream, strings=TEXTS, formats=formats, pause=go_on)


def rows_of(rows: str, formats: Formats = FORMATS) -> list[tuple[int, list[object]]]:
    return list(opened(rows, formats).rows())


def value_of(content: str, formats: Formats = FORMATS, **attributes: str) -> object:
    told = "".join(f' {name}="{value}"' for name, value in attributes.items())
    found = rows_of(f'<row r="1"><c r="A1"{told}>{content}</c></row>', formats)
    return found[0][1][0] if found else ""


@pytest.mark.parametrize(
    ("content", "kind", "value"),
    [
        ("<v>1</v>", "s", "one"),
        ("<v>3</v>", "n", 3.0),
        ("<v> 1E5 </v>", "n", 100_000.0),
        ("<v>x</v>", "n", "x"),
        ("<v>NaN</v>", "n", "NaN"),
        ("<v>1</v>", "b", True),
        ("<v>true</v>", "b", True),
        ("<v>0</v>", "b", False),
        ("<v>#N/A</v>", "e", ""),
        ("<f>A1&amp;B1</f><v> kept_x000D_ </v>", "str", " kept\r "),
        ("<f>A1</f><v></v>", "str", ""),
        ("<f>A1+1</f>", "n", ""),
        ("<is><t> in line </t></is>", "inlineStr", "in line"),
        ('<is><t xml:space="preserve"> in line </t></is>', "inlineStr", " in line "),
        ("<is><r><t>of</t></r><r><rPr/><t>two</t></r></is>", "inlineStr", "oftwo"),
        ("<is><t>日本</t><rPh sb='0' eb='2'><t>ニホン</t></rPh></is>", "inlineStr", "日本"),
        ("<v>2026-01-02</v>", "d", datetime.date(2026, 1, 2)),
        ("<v>2026-01-02T03:04:05</v>", "d", datetime.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001  # Excel knows no zones
        ("<v>03:04:05</v>", "d", datetime.time(3, 4, 5)),
        ("<v>2026-01-02T03:04:05Z</v>", "d", "2026-01-02T03:04:05Z"),
        ("<v>PT5H</v>", "d", "PT5H"),
    ],
)
def test_a_cell_is_what_its_kind_says(content, kind, value):
    found = value_of(content, t=kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("number", "style", "value"),
    [
        ("45000", DAY, datetime.date(2023, 3, 15)),
        ("45000", ISO_DAY, datetime.date(2023, 3, 15)),
        ("45000", REIWA, datetime.date(2023, 3, 15)),
        ("45000.5", MOMENT, datetime.datetime(2023, 3, 15, 12)),  # noqa: DTZ001
        ("59", DAY, datetime.date(1900, 2, 28)),
        ("61", DAY, datetime.date(1900, 3, 1)),
        ("0.25", TIME, datetime.time(6)),
        ("0.9999999999", TIME, datetime.time(0)),
        ("1.5", DURATION, datetime.timedelta(days=1, hours=12)),
        ("45000", DAYS, 45000.0),
        ("45000", "0", 45000.0),
        ("45000", "99", 45000.0),
        ("-5", DAY, -5.0),
        ("1e10", DAY, 1e10),
    ],
)
def test_a_number_is_a_day_where_its_format_says_so(number, style, value):
    found = value_of(f"<v>{number}</v>", s=style)
    assert (found, type(found)) == (value, type(value))


def test_days_may_be_counted_from_1904():
    first_macs = formats_of({}, [0, 14], is_1904=True)
    assert value_of("<v>45000</v>", first_macs, s="1") == datetime.date(2027, 3, 16)


def test_cells_lie_where_they_say_and_else_behind_the_last():
    found = rows_of(
        '<row><c><v>1</v></c><c><v>2</v></c></row><row><c r="C2"><v>3</v></c><c><v>4</v></c></row>'
        '<row r="7"><c r="B7"><v>5</v></c><c r="a7"><v>6</v></c></row><row><c><v>7</v></c></row>'
    )
    assert found == [(1, [1, 2]), (2, ["", "", 3, 4]), (7, [6, 5]), (8, [7])]


def test_rows_and_cells_of_formats_alone_are_none():
    """A column of a million cells with a frame has nothing in it."""
    empty = "".join(f'<row r="{n}"><c r="A{n}" s="1"/></row>' for n in range(2, 5000))
    found = rows_of(
        f'<row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="3"/></row>{empty}'
        '<row r="5000"><c r="B5000"><v>2</v></c></row>'
    )
    assert found == [(1, [1]), (5000, ["", 2])]


def test_names_may_have_a_prefix():
    content = sheet('<row r="1"><c r="A1"><v>1</v></c></row>')
    for name in ("worksheet", "sheetData", "row", "c ", "v>"):
        content = content.replace(f"<{name}", f"<x:{name}").replace(f"</{name}", f"</x:{name}")
    content = content.replace("</c>", "</x:c>").replace("xmlns=", "xmlns:x=")
    stream = io.BytesIO(content.encode())
    found = Sheet(stream, strings=TEXTS, formats=FORMATS, pause=go_on)
    assert list(found.rows()) == [(1, [1])]


@pytest.mark.parametrize(
    ("said", "area"),
    [("B2:J400", (1, 10)), ("A1", None), ("A1:A1", None), ("", None), ("$C1:XFD9", None)],
)
def test_a_sheet_may_say_which_columns_it_uses(said, area):
    found = opened('<row r="1"/>', before=f'<dimension ref="{said}"/>')
    list(found.rows())
    assert found.area == area


def test_what_follows_the_rows_is_not_read():
    """There may be as many links as cells, and nobody wants them."""
    found = opened('<row r="1"><c r="A1"><v>1</v></c></row>', after=" " * 200_000 + "<broken")
    assert next(found.rows()) == (1, [1])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('<c r="A2" t="s"><v>x</v></c>', "is no number of one"),
        ('<c r="A2" t="picture"><v>1</v></c>', 'of the kind "picture"'),
        ('<c r="4"><v>1</v></c>', "column"),
        ('<c r="XFE2"><v>1</v></c>', "16,384 columns"),
        ('<c r="ABCDEFGH2"><v>1</v></c>', 'column "ABCDEFGH"'),
    ],
)
def test_what_no_cell_is_is_told(cell, said):
    with pytest.raises(BadPart, match=said):
        rows_of(f'<row r="2">{cell}</row>')


def test_rows_before_what_can_not_be_read_are_told():
    found = opened('<row><c><v>1</v></c></row><row><c><v>2</v></c></row><row r="x"/>').rows()
    assert [next(found), next(found)] == [(1, [1]), (2, [2])]
    with pytest.raises(BadPart):
        next(found)


def test_a_row_must_have_a_number_as_its_number():
    with pytest.raises(BadPart, match='calls itself "two"'):
        rows_of('<row r="two"/>')
