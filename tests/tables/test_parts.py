"""Parts of a workbook, a piece at a time: what would fill the memory is refused."""

from __future__ import annotations

import io

import pytest

from batchd.core.splitting import MAX_FIELD
from batchd.tables.parts import BadPart, Part, unescaped


class Names(Part):
    """Notes what it is told."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), lambda: None)
        self.prefix: str | None = None
        self.told = list[str]()

    def named(self, prefix: str) -> None:
        self.prefix = prefix

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.told.append(name)

    def end(self, name: str) -> None:
        self.told.append(f"/{name}")


def read(content: bytes) -> Names:
    part = Names(content)
    while part.read_on():
        pass
    part.close()
    return part


def test_what_is_in_the_root_is_told_and_how_its_names_begin():
    assert read(b"<sst><si/></sst>").told == ["si", "/si", "/sst"]
    assert read(b"<x:sst xmlns:x='u'><x:si/></x:sst>").prefix == "x:"
    assert read(b"<sst/>").prefix == ""


def test_other_encodings_are_read_as_the_part_says():
    assert (
        read('<?xml version="1.0" encoding="UTF-16"?><a><ü/></a>'.encode("utf-16")).told[0] == "ü"
    )


@pytest.mark.parametrize(
    ("begin", "end", "size", "said"),
    [
        (b"<a>", b"</a>", MAX_FIELD, "text longer than 67,108,864"),
        (b"<a><b c='", b"'/></a>", 1 << 20, "tag longer than 1,048,576"),
        (b"<a><!--", b"--></a>", 1 << 20, "tag longer than 1,048,576"),
    ],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(begin, end, size, said):
    with pytest.raises(BadPart, match=said):
        read(begin + b"x" * (size + 200_000) + end)


def test_much_in_small_pieces_is_no_long_text():
    part = Names(b"<a>" + b"<b>0123456789</b>" * (MAX_FIELD // 9) + b"</a>")
    part.start = part.end = lambda *_: part._letters.clear()  # as every reader does
    while part.read_on():
        pass


def test_a_document_type_is_refused_for_it_may_multiply_what_follows():
    with pytest.raises(BadPart, match="document type"):
        read(b'<!DOCTYPE a [<!ENTITY b "cccccccccc">]><a>&b;&b;</a>')


@pytest.mark.parametrize(
    ("text", "meant"),
    [("plain", "plain"), ("_x0041_", "A"), ("_x005F_x0041_", "_x0041_"), ("_x41_", "_x41_")],
)
def test_escaped_letters_are_letters(text, meant):
    assert unescaped(text) == meant
