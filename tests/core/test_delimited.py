"""CSV and TSV: what is read of lines, what is wrong with them, and how they are written again."""

from __future__ import annotations

import csv
import io

import pytest

from batchd.core import delimited
from batchd.core.records import BadTable, Layout, Record


def layout_of(text: str, **known) -> Layout:
    return delimited.with_columns(Layout(format="csv", **known), io.StringIO(text, newline=""))


def read(text: str, **known) -> list[Record]:
    layout = layout_of(text, **known)
    return list(delimited.records_of(io.StringIO(text, newline=""), layout))


def problem_of(text: str, **known):
    with pytest.raises(BadTable) as bad:
        read(text, **known)
    return bad.value.problem


def written(text: str, added=(), values=None, **known) -> str:
    """What comes of a table that is read and written again."""
    layout, file = layout_of(text, **known), io.StringIO(newline="")
    rows = delimited.Rows(file, layout, added)
    for record in delimited.records_of(io.StringIO(text, newline=""), layout):
        rows.write(record, values or {})
    return file.getvalue()


# Reading


def test_a_row_is_a_record_with_its_number_and_its_line():
    one, two = read('id,text\n7,"a\nb"\n8, c \n')
    assert (one.row, one.line, one.fields) == (1, 2, {"id": "7", "text": "a\nb"})
    assert (two.row, two.line, two.fields) == (2, 4, {"id": "8", "text": " c "})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_are_no_rows(end):
    found = read(end.join(["", "id,text", "", "7,a", "   ", "8,b", "", ""]))
    assert [(r.row, r.line, r.fields["id"]) for r in found] == [(1, 4, "7"), (2, 6, "8")]


def test_an_empty_field_alone_in_its_row_is_a_row():
    assert [r.fields["text"] for r in read('text\n""\n\na\n')] == ["", "a"]


def test_a_row_of_empty_fields_is_a_row():
    assert [r.fields for r in read("a,b\n,\n")] == [{"a": "", "b": ""}]


def test_a_zero_byte_is_a_letter():
    assert read("a,b\n1\0,2\n")[0].fields == {"a": "1\0", "b": "2"}


def test_a_field_of_megabytes_is_read():
    """Python's csv stops at 131,072 characters where nobody tells it otherwise."""
    long = "x" * 3_000_000
    assert read(f"a,b\n1,{long}\n")[0].fields["b"] == long


def test_a_file_without_a_last_line_break_has_its_last_row():
    assert [r.row for r in read("a,b\n1,2\n3,4")] == [1, 2]


def test_a_line_for_excel_before_the_header_is_no_row():
    (one,) = read("sep=;\r\na;b\r\n1;2\r\n", delimiter=";", preamble="sep=;\r\n")
    assert (one.line, one.fields) == (3, {"a": "1", "b": "2"})


# Columns


def test_a_column_without_a_name_is_called_by_its_place():
    """pandas writes its index so."""
    layout = layout_of(",text,\n0,a,b\n")
    assert layout.columns == ("column_1", "text", "column_3")
    assert layout.header == ("", "text", "")


def test_a_name_that_is_taken_is_not_given_again():
    assert delimited.column_names(["column_2", ""]) == ("column_2", "column_2_")


def test_two_columns_of_one_name_are_refused():
    problem = problem_of("id,text,id\n1,2,3\n")
    assert problem.code == "duplicate_column"
    assert problem.message == 'the header has the column "id" more than once (the 1., the 3.)'
    assert problem.row is None
    assert problem.param == "id"


# What is wrong


def test_a_row_that_is_too_short_names_the_first_column_that_is_missing():
    problem = problem_of("a,b,c\n1,2,3\n4\n")
    assert (problem.code, problem.row, problem.line) == ("wrong_width", 2, 3)
    assert problem.message == (
        'the row on line 3 has 1 field, and the header has 3: from "b" on there is nothing in it'
    )


def test_a_row_that_is_too_long_shows_where_it_goes_on():
    problem = problem_of('a,b\n"x\ny",2\n3,4,five\n')
    assert (problem.code, problem.row) == ("wrong_width", 2)
    assert (
        'the row on line 4 has 3 fields, and the header has 2: what is too much begins with "f'
        in (problem.message)
    )
    assert problem.remedy == "Put fields that hold a comma into quotes."


def test_a_delimiter_too_much_at_the_end_of_a_row_is_told_as_that():
    problem = problem_of("a,b\n1,2,\n")
    assert problem.message.endswith("what is too much is empty")
    assert problem.remedy.startswith("Remove a comma from the end of the row")


@pytest.mark.parametrize("text", ['a,b\n1,2\n3,"four\n5,6\n', 'a,b\n1,2\n3,"', 'a,b\n1,2\n"3'])
def test_a_quote_that_never_closes_is_told_with_its_line(text):
    """The csv module takes the end of the file for its end: half a file would pass for a whole."""
    problem = problem_of(text)
    assert (problem.code, problem.row) == ("quote_never_closed", 2)
    assert "line 3" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,"x"\n3,"four\n5,"six"\n7,"y"\n',
        '"a","b"\n"1","x"\n"3","four\n"5","six"\n"7","y"\n',
        'a,b,c\n1,"x",0\n3,"four,0\n4,plain,0\n5,"six, ""or so""",0\n',
    ],
)
def test_a_quote_that_ends_where_another_field_begins_never_closed(text):
    """The csv module reads on from there, and several rows would pass for one."""
    problem = problem_of(text)
    assert (problem.code, problem.row, problem.line) == ("quote_never_closed", 2, 3)
    assert '[input] quote = ""' in problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,"two\nlines with ""quotes"", and more"\n',
        'a,b\n1,"two\n"\n',
        'a,b\n1,"two\n""\n,""x"\n',
        'a,b\n1,"two\nsaid "hi" and left"\n',  # not as it should be, and no row is lost
    ],
)
def test_a_field_of_several_lines_is_one(text):
    assert len(read(text)) == 1


def test_a_header_whose_quote_never_closes_is_told(  # as of a file that is no table at all
):
    assert problem_of('"a,b\n1,2\n').code == "quote_never_closed"


def test_a_field_without_end_is_not_read_into_memory():
    problem = problem_of('a,b\n1,"' + f"{'x' * 127}\n" * (delimited.MAX_FIELD // 128 + 1))
    assert (problem.code, problem.row) == ("field_too_long", 1)


def test_nothing_is_no_table():
    assert problem_of("").code == "empty_file"
    assert problem_of("\n\n").code == "empty_file"


# Writing


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ('id,text\r\n7,"a, b"\r\n8," c "\r\n'.replace('" c "', " c "), {"line_end": "\r\n"}),
        ('"id","te""xt"\n"7","1.50"\n', {"quotes_all": True}),
        ("id\ttext\n7\ta, b\n", {"delimiter": "\t"}),
        ("'id';'text'\n'7';'it''s'\n", {"delimiter": ";", "quote": "'", "quotes_all": True}),
        ('id,text\n7,"say \\"a\\", b"\n', {"escape": "\\"}),
        ('id,text\n7,5" pipe\n8,"a" b\n', {"quote": ""}),
        (
            "sep=;\r\nid;text\r\n007;1,50\r\n",
            {"delimiter": ";", "preamble": "sep=;\r\n", "line_end": "\r\n"},
        ),
        (",text\r0,\0\r", {"line_end": "\r"}),
    ],
)
def test_what_is_written_again_is_what_was_read(text, known):
    assert written(text, **known) == text


def test_added_columns_come_last_in_the_same_dialect():
    text = written(
        "id;text\n7;a\n", ["answer", "batchd_error"], {"answer": 'b; "c"\nd'}, delimiter=";"
    )
    assert text == 'id;text;answer;batchd_error\n7;a;"b; ""c""\nd";\n'


def test_the_senders_quotes_stay_where_they_are():
    """R quotes texts and no numbers; the csv module knows no such way that keeps the numbers."""
    text = written('"id","text"\n007,"a"\n8,"b\nc"', ["answer"], {"answer": "d"})
    assert text == 'id,text,answer\n007,"a",d\n8,"b\nc",d\n'


def test_added_fields_are_quoted_where_every_field_is():
    text = written('"id"\r\n"7"\r\n', ["a", "b"], {"a": "x"}, quotes_all=True, line_end="\r\n")
    assert text == '"id","a","b"\r\n"7","x",""\r\n'


def test_answers_are_quoted_where_no_field_was():
    """In a table without quotes nothing else keeps an answer of two lines together."""
    text = written('id,text\n7,"a" b\n', ["answer"], {"answer": "c,\nd"}, quote="")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["id", "text", "answer"],
        ["7", '"a" b', "c,\nd"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, ""),
        (True, "true"),
        (3, "3"),
        (2.5, "2.5"),
        (["a", {"b": 1}], '["a",{"b":1}]'),
    ],
)
def test_a_cell_says_a_value_as_json_does(value, text):
    assert delimited.cell(value) == text
