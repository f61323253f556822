"""How a table's letters are encoded."""

from __future__ import annotations

import io

import pytest

from batchd.core.records import BadTable
from batchd.tables.encodings import Encoding, find_encoding, first_bad
from batchd.tables.opening import BOMS

GERMAN = "name;stadt\nMüller;Köln\nGroß;Straße 5\nJäger;Übach\n"
FRENCH = "id,texte\n1,Le café était très bon\n2,Ça ne marche pas à l'hôtel\n3,déjà vu, cœur\n"
SPANISH = "a,b\n1,El niño comió\n2,mañana\n"
RUSSIAN = "id,text\n1,Отличный продукт, очень доволен\n2,Плохое качество\n"
JAPANESE = (
    "id,text\n" + "1,とても良い製品です。毎日使っています。\n2,品質が悪いので、返品しました。\n" * 5
)


@pytest.fixture
def find(tmp_path):
    def find(content: bytes, wanted: str = "auto") -> Encoding:
        path = tmp_path / "a.csv"
        path.write_bytes(content)
        return find_encoding(path, wanted, pause=lambda: None)

    return find


@pytest.mark.parametrize("name", BOMS)
def test_a_mark_says_it_whatever_was_asked_for(find, name):
    content = BOMS[name] + GERMAN.encode(name)
    assert find(content) == find(content, "cp1252") == Encoding(name, bom=True)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE, "plain", ""])
def test_what_is_utf_8_throughout_is_utf_8(find, text):
    assert find(text.encode()) == Encoding("utf-8")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_zeros(find, name):
    assert find(GERMAN.encode(name)) == Encoding(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GERMAN, "cp1252"),
        (FRENCH, "cp1252"),
        (SPANISH, "cp1252"),
        ("id,price\n1,5 €\n", "cp1252"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (JAPANESE, "cp932"),
    ],
)
def test_else_it_is_guessed_and_said_to_be(find, text, name):
    assert find(text.encode(name)) == Encoding(name, is_guessed=True)


def test_the_first_strange_letter_may_stand_far_behind(find):
    content = b"id,text\n" + b"1,plain\n" * 500_000 + GERMAN.encode("cp1252")
    assert find(content) == Encoding("cp1252", is_guessed=True)


@pytest.mark.parametrize("before", [0, 1])
def test_a_damaged_byte_makes_no_other_encoding_of_utf_8(find, before):
    content = GERMAN.encode() * before + b"1,broken \xff\n" + GERMAN.encode()
    assert find(content) == Encoding("utf-8")


def test_what_the_task_says_holds(find):
    content = GERMAN.encode("cp850")
    assert find(content, "cp850") == Encoding("cp850")
    assert find(GERMAN.encode(), "utf-8-sig") == Encoding("utf-8")


@pytest.mark.parametrize("wanted", ["utf8000", "base64"])
def test_an_encoding_that_nobody_knows_is_told(find, wanted):
    with pytest.raises(BadTable, match=f'"{wanted}", which is no known encoding'):
        find(b"a", wanted)


@pytest.mark.parametrize("before", [0, 100, (1 << 20) - 1, 1 << 20])
def test_the_place_of_a_bad_byte_is_the_files(before):
    bad = first_bad(io.BytesIO(b"x" * before + b"\xffrest"), "utf-8")
    assert (bad.offset, bad.had_others) == (before, False)
    assert bad.piece.startswith(b"\xff")


def test_a_letter_between_two_pieces_is_whole():
    assert first_bad(io.BytesIO(b"x" * ((1 << 20) - 1) + "ä".encode()), "utf-8") is None


def test_a_letter_cut_by_the_end_is_bad():
    bad = first_bad(io.BytesIO("aä".encode()[:-1]), "utf-8")
    assert bad.offset == 1
