"""The texts of a workbook: found by their numbers, in any order, however many there are."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.tables.parts import BadPart
from batchd.tables.shared import NoStrings, SharedStrings
from tests.workbooks import shared


def go_on() -> None:
    pass


def opened(texts: str, folder: Path = Path(), pause=go_on) -> SharedStrings:
    return SharedStrings(io.BytesIO(shared(texts).encode()), pause=pause, folder=folder)


def plain(texts: list[str]) -> str:
    return "".join(f"<si><t>{text}</t></si>" for text in texts)


def test_a_text_is_found_by_its_number():
    found = opened(plain(["a", "b"]) + "<si/><si><t/></si>")
    assert [found[n] for n in (1, 0, 3, 2)] == ["b", "a", "", ""]
    found.close()


def test_letters_without_xml_come_as_what_they_are():
    found = opened(
        "<si><t>a_x000D_b</t></si><si><t>_x005F_x000D_</t></si><si><t>_xD83D__xDE00_</t></si>"
        "<si><t>_xD83D_ alone</t></si><si><t>my_xml_x12</t></si><si><t>a&#13;&#10;b</t></si>"
    )
    told = [found[n] for n in range(6)]
    assert told == ["a\rb", "_x000D_", "😀", "\ufffd alone", "my_xml_x12", "a\r\nb"]
    found.close()


def test_parts_of_a_text_are_one_and_how_it_is_spoken_is_none():
    found = opened(
        '<si><r><rPr><b/></rPr><t xml:space="preserve">bold </t></r><r><t>plain</t></r>'
        '<rPh sb="0" eb="1"><t>spoken</t></rPh><phoneticPr fontId="1"/></si>'
        '<si><t>  no spaces </t></si><si><t xml:space="preserve"> spaces </t></si>'
    )
    assert [found[n] for n in range(3)] == ["bold plain", "no spaces", " spaces "]
    found.close()


def test_no_more_is_read_than_is_asked_for():
    pieces = Counted()
    found = opened(plain([f"text {n}" for n in range(50_000)]), pause=pieces)
    assert found[0] == "text 0"
    assert pieces.times == 1
    assert found[49_999] == "text 49999"
    assert pieces.times > 10
    found.close()


class Counted:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize("order", ["forwards", "backwards", "anyhow"])
def test_many_are_found_in_any_order(tmp_path, order):
    """Some 20 MB, of which most wait in the scratch file: short ones, long ones, of any letters."""
    texts = list(some_texts(20_000))
    numbers = list(range(len(texts)))
    if order == "backwards":
        numbers.reverse()
    elif order == "anyhow":
        random.Random(7).shuffle(numbers)
    found = opened(plain(texts), tmp_path)
    assert all(found[number] == texts[number] for number in numbers)
    assert not list(tmp_path.iterdir())  # the scratch file has no name
    found.close()


def test_where_nothing_may_be_written_the_texts_wait_elsewhere(tmp_path):
    texts = list(some_texts(2000))
    found = opened(plain(texts), tmp_path / "not there")
    assert [found[number] for number in (0, 1999, 7)] == [texts[0], texts[1999], texts[7]]
    found.close()


def some_texts(many: int) -> Iterator[str]:
    sizes = random.Random(3)
    for number in range(many):
        yield f"{number} ü 😀." * sizes.choice((1, 10, 100, 500 if number % 50 == 0 else 5))


@pytest.mark.parametrize("number", [2, -1, 10**9])
def test_a_number_that_no_text_has_is_told(number):
    found = opened(plain(["a", "b"]))
    with pytest.raises(BadPart, match=f"text {number:,}"):
        found[number]
    found.close()


def test_a_workbook_without_texts_has_none():
    none = NoStrings()
    with pytest.raises(BadPart, match="no such text"):
        none[0]
    none.close()
