"""Whoever opens the results learns what was guessed about their table."""

from __future__ import annotations

from batchd.core.records import Layout
from batchd.core.table_notes import table_facts, table_in_words


def test_a_guessed_encoding_is_told_and_that_results_have_another():
    layout = Layout(format="csv", encoding="cp1252", is_guessed=True, delimiter=";")
    facts = table_facts(layout)
    assert facts == {
        "format": "csv",
        "encoding": "cp1252",
        "encoding_guessed": True,
        "delimiter": ";",
        "results_encoding": "utf-8",
    }
    guessed, recoded = table_in_words(facts)
    assert "guessed to be cp1252" in guessed
    assert "[input] encoding" in guessed
    assert recoded.startswith("the results are in utf-8")


def test_an_encoding_that_is_known_needs_no_word():
    assert table_in_words(table_facts(Layout(format="csv"))) == []
    assert table_in_words(table_facts(Layout(format="tsv", encoding="utf-16-le", bom=True))) == []
    known = Layout(format="csv", encoding="cp1252")
    assert len(table_in_words(table_facts(known))) == 1


def test_a_table_without_letters_of_its_own_has_no_encoding():
    facts = table_facts(Layout(format="parquet"))
    assert facts == {"format": "parquet"}
    assert table_in_words(facts) == []
    assert table_in_words(None) == []
    assert "delimiter" not in table_facts(Layout(format="jsonl", is_guessed=True))
