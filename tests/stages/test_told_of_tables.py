"""What a person is told of a table that came back, in the folder's own words."""

from __future__ import annotations

from pathlib import Path

from tests.dropped_tables import PLAIN
from tests.houses import read_receipt
from tests.stages.table_house import House

CP1252 = "key;text\r\n1;Käse für Müller\r\n2;Brötchen, täglich 2 €\r\n".encode("cp1252")


async def test_a_guessed_encoding_and_one_that_results_do_not_have_are_told(tmp_path: Path):
    """Letters that came out wrong were nobody's fault and nobody's word."""
    folder = await House(tmp_path, PLAIN).lives(CP1252)
    assert read_receipt(folder)["table"] == {
        "format": "csv",
        "encoding": "cp1252",
        "encoding_guessed": True,
        "delimiter": ";",
        "results_encoding": "utf-8",
    }
    noticed = (folder / "RECEIPT.txt").read_text().partition("\nnoticed:\n")[2].splitlines()
    assert noticed[0].strip().startswith("its letters were guessed to be cp1252")
    assert noticed[1].strip().startswith("the results are in utf-8")
    assert (folder / "results.csv").read_bytes().startswith(b"\xef\xbb\xbfkey;text;")


async def test_of_an_encoding_that_the_task_names_nothing_is_guessed(tmp_path: Path):
    folder = await House(tmp_path, f'{PLAIN}[input]\nencoding = "cp1252"\n').lives(CP1252)
    assert not read_receipt(folder)["table"]["encoding_guessed"]
    assert "guessed" not in (folder / "RECEIPT.txt").read_text()


async def test_a_table_that_was_rejected_says_where_to_drop_it_again(tmp_path: Path):
    folder = await House(tmp_path, PLAIN).lives("key,body\n" + "1,x\n" * 30)
    text = (folder / "error.txt").read_text()
    assert text.count("there is no column") == 2  # in the first line, and in the list
    assert "Problems found: 1\n" in text
    assert text.endswith("Mend it and drop it into inbox/judge/ again.\n")
    assert "table" not in read_receipt(folder)
