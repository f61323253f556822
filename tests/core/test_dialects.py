"""How a table is written, by its beginning."""

from __future__ import annotations

import pytest

from batchd.core.dialects import find_dialect


def dialect(text: str, **known):
    found = find_dialect(text, is_whole=True, **known)
    return found.delimiter, found.quote, found.escape


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("id,text\n1,a; b\n2,c\n", ","),
        ("id;text\n1;a, b, c\n2;1,50\n", ";"),
        ("id\ttext\n1\ta, b\n", "\t"),
        ("id|text\n1|a, b\n", "|"),
        ('id,"a;b;c"\n1,"x;y"\n2,z\n', ","),
        ("Name;Wert, netto\nx;1,5\ny;2,5\nz;3\n", ";"),
        ("text\nHello.\nOne; two; three.\n", ","),
        ("text\nHello, world.\nOne, two.\n", ";"),
        ("text\nHello, world.\nOne; two; three.\n", "\t"),
        ("id,text\n", ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_what_gives_every_row_as_many_fields(text, delimiter):
    assert dialect(text) == (delimiter, '"', "")


def test_one_bad_row_changes_nothing():
    """It is to be told with its number, not taken for another kind of table."""
    rows = "".join(f"{n},text {n}\n" for n in range(50))
    assert dialect("id,text\n" + rows + "51,one, too many\n")[0] == ","
    assert dialect("id,text\n1\n")[0] == ","


def test_a_sentence_above_a_list_is_one_name():
    delimiter, _, _ = dialect("What they said, in their words\nGood\nBad\nToo long\n")
    assert delimiter not in "What they said, in their words"


def test_commas_of_a_tsv_are_letters():
    assert dialect("a,b\n1,2\n", tabs=True)[0] == "\t"


@pytest.mark.parametrize(
    ("text", "quote", "escape"),
    [
        ('id,text\n1,"say ""a"", b"\n', '"', ""),
        ('id,text\n1,"say \\"a\\", b"\n2,"c"\n', '"', "\\"),
        ('id,path\n1,"C:\\"\n2,"D:\\"\n', '"', ""),
        ("'id','text'\n'1','a, b'\n", "'", ""),
        ("id,text\n1,it's\n2,'tis\n", '"', ""),
        ('id\ttext\n1\t"Best" of all\n2\t5" wide\n', "", ""),
    ],
)
def test_how_quotes_are_meant(text, quote, escape):
    assert dialect(text)[1:] == (quote, escape)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ('id,text\n1,"never closed\n2,fine\n', '"'),
        ('text\n"never closed\nfine\n', '"'),
        ('id,text\n1,"a"\n2,"open\n3,"b"\n', '"'),
        ('id,text\n1,"a"\n2,"b"\n3,"open\n4,"open, too\n', '"'),
        ('id,text\n1,"a"\n2,"hello said he\n3,"bye said she\n', ""),
        ('id,text\n1,"hello said he\n2,"bye said she\n', ""),
        ('id,text\n1,"best" of all\n2,"worst" of all\n', ""),
    ],
)
def test_a_quote_that_never_closes_is_no_letter_unless_more_do_so_than_close(text, quote):
    assert dialect(text) == (",", quote, "")


def test_a_quote_that_never_closes_is_a_letter_of_a_tsv_that_quotes_nothing():
    assert dialect('id\ttext\n1\t"never\n2\tfine\n', tabs=True)[1] == ""
    assert dialect('id\ttext\n1\t"never\n2\t"fine"\n', tabs=True)[1] == '"'


def test_a_field_that_the_end_of_the_sample_cuts_is_not_open():
    found = find_dialect('id,text\n1,"best" of all\n2,x\n3,"cut her', is_whole=False)
    assert found.quote == ""


def test_what_the_task_says_holds():
    assert dialect("a,b;c\n1,2;3\n", delimiter=";") == (";", '"', "")
    assert dialect("a,b\n'1',2\n", quote="'") == (",", "'", "")
    assert dialect('a,b\n"1",2\n', quote="") == (",", "", "")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_are_those_of_the_header(end):
    assert find_dialect(f"a,b{end}1,2{end}", is_whole=True).line_end == end


@pytest.mark.parametrize(
    ("text", "is_all"),
    [
        ('"a","b"\n"1","x ""y"""\n', True),
        ('"a","b"\n"1","2"', True),
        ('"a","b"\n1,"2"\n', False),
        ('a,b\n1,"x,y"\n', False),
    ],
)
def test_a_table_that_quotes_every_field_is_known(text, is_all):
    assert find_dialect(text, is_whole=True).quotes_all is is_all


def test_a_row_cut_in_two_by_the_end_of_the_sample_tells_nothing():
    text = '"a";"b"\n"1";"2"\n"3'
    found = find_dialect(text, is_whole=False)
    assert (found.delimiter, found.quotes_all) == (";", True)


def test_a_line_for_excel_says_the_delimiter():
    found = find_dialect("sep=;\r\na,b;c\r\n1,2;3\r\n", is_whole=True)
    assert (found.preamble, found.delimiter, found.line_end) == ("sep=;\r\n", ";", "\r\n")


def test_rows_with_a_delimiter_at_their_end_are_no_texts_under_one_name():
    """Else the first problem told would be a column `id,text` that nobody has."""
    assert dialect("id,text\n1,a,\n2,b,\n")[0] == ","
    assert dialect("id;text\n1;a;\n2;b, c;\n")[0] == ";"
