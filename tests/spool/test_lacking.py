"""Which tables can't be read for want of a library, and that one is found once it is there."""

from __future__ import annotations

import sys

import pytest

from batchd.core.task_words import made
from batchd.spool.lacking import kind_read, lack_in_words, library_missing


def task(**input: str):
    return made("judge", {"model": "m", "prompt": "{{ text }}", "input": input})


@pytest.mark.parametrize("library", ["openpyxl", "xlsxwriter"])
def test_a_kind_lacks_what_python_does_not_find(monkeypatch, library):
    assert library_missing("excel") is None
    monkeypatch.setitem(sys.modules, library, None)  # so Python is told that there is none
    assert library_missing("excel") == library
    assert library_missing("csv") is None
    assert library_missing(None) is None
    monkeypatch.undo()
    assert library_missing("excel") is None


def test_a_file_is_of_the_kind_that_its_task_says_or_else_its_name():
    assert kind_read("a.XLSX", task()) == "excel"
    assert kind_read("a.txt", task(format="parquet")) == "parquet"
    assert kind_read("a.png", task()) is None


def test_what_is_missing_is_said_with_the_command():
    text = lack_in_words("excel", "openpyxl")
    assert text.startswith("Excel files need openpyxl")
    assert 'pip install "batchd[tables]"' in text
