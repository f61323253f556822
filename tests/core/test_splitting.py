"""Rows of a CSV, cut faster than by the csv module: whatever stands there, it is the same."""

from __future__ import annotations

import csv
import io
from itertools import product

import pytest

from batchd.core import splitting
from batchd.core.records import Layout
from batchd.core.splitting import Splitter, options

LONG = "many words, and many more of them, " * 3  #: short fields are left to the csv module


def rows_of(text: str, *, newline: str = "\n", **known) -> list[list[str]]:
    layout = Layout(format="csv", **known)
    return [row for row, _ in Splitter(io.StringIO(text, newline=newline), layout)]


def as_csv_has_it(text: str, **known) -> list[list[str]]:
    layout = Layout(format="csv", **known)
    terms = options(layout.delimiter, layout.quote, layout.escape)
    return list(csv.reader(io.StringIO(text, newline=""), **terms))


@pytest.mark.parametrize("known", [{}, {"quote": ""}, {"escape": "\\"}])
def test_rows_of_all_short_texts_are_those_of_the_csv_module(known):
    """All texts of a few letters that mean something, each letter but these a long one."""
    for size in range(8):
        for letters in product('a",\n', repeat=size):
            text = "".join(letters).replace("a", LONG)
            assert rows_of(text, **known) == as_csv_has_it(text, **known), text


def test_rows_of_all_short_texts_are_the_same_whatever_ends_a_line():
    for size in range(6):
        for letters in product('a",\n\r', repeat=size):
            text = "".join(letters).replace("a", LONG)
            wanted = as_csv_has_it(text)
            assert rows_of(text) == rows_of(text, newline="") == wanted, text


def test_texts_of_short_fields_are_the_same_as_well():
    for letters in product('ab",\n', repeat=6):
        text = "".join(letters)
        assert rows_of(text) == as_csv_has_it(text), text


def test_the_lines_of_all_rows_are_the_text():
    text = f'a,b\r\n\n"{LONG}\n{LONG}\r","x"\r"{LONG}" y\n"{LONG}""\n{LONG}",\n"open\n{LONG}\n'
    found = Splitter(io.StringIO(text, newline="\n"), Layout(format="csv"))
    assert "".join("".join(lines) for _, lines in found) == text


def test_a_quote_that_is_none_takes_no_line_of_others_with_it():
    """Five inches: a quote inside of a field is a letter, and the next row is another."""
    (first, *_) = Splitter(iter([f'{LONG} 5" pipe\n', *"abc"]), Layout(format="csv"))
    assert first == ([*f'{LONG} 5" pipe'.split(",")], [f'{LONG} 5" pipe\n'])


def test_a_field_longer_than_any_may_be_is_an_error_wherever_it_goes_on():
    line = f"{'x' * 1023}\n"
    for text in (
        f'"{"x" * splitting.MAX_FIELD}x"',
        f'"{line * (splitting.MAX_FIELD // 1024 + 1)}"',
    ):
        with pytest.raises(csv.Error, match="field limit"):
            rows_of(text)
