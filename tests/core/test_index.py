"""Where each answer lies, in 24 bytes."""

import random

import pytest

from batchd.core.index import AnswerIndex, Entry, Source


def test_an_index_becomes_what_it_was():
    chance = random.Random(11)
    entries = [
        Entry(
            chance.randrange(1, 2**50),
            chance.choice(list(Source)),
            chance.randrange(2**60),
            7,
            unsent=chance.random() < 0.5,
            as_json=chance.choice([None, False, True]),
        )
        for _ in range(500)
    ]
    index = AnswerIndex()
    for entry in entries:
        index.add(*entry[:4], unsent=entry.unsent, as_json=entry.as_json)
    content = index.encode()
    assert len(content) == 24 * len(entries)
    again = AnswerIndex.decode(content)
    assert list(again) == entries
    assert len(again) == 500
    assert again.entry(499) == entries[499]


def test_the_file_is_the_same_on_every_machine():
    index = AnswerIndex()
    index.add(1, Source.ERROR, 2, 3)
    assert index.encode() == b"\x01\x01" + bytes(6) + b"\x02" + bytes(7) + b"\x03" + bytes(7)


def test_no_answers_are_an_empty_index():
    assert len(AnswerIndex.decode(AnswerIndex().encode())) == 0


@pytest.mark.parametrize("length", [1, 8, 23, 25])
def test_a_cut_index_is_none(length: int):
    with pytest.raises(ValueError, match="odd length"):
        AnswerIndex.decode(bytes(length))


def test_an_index_of_unknown_sources_is_none():
    with pytest.raises(ValueError, match="31"):
        AnswerIndex.decode(b"\x1f" + bytes(23)).entry(0)


def test_rows_and_ends_are_told_without_the_rest():
    index = AnswerIndex()
    index.add(7, Source.OUTPUT, 100, 20, as_json=True)
    index.add(8, Source.NOTES, 5, 1, unsent=True)
    index.add(9, Source.OUTPUT, 0, 30)
    assert list(index.rows()) == [(7, False), (8, True), (9, False)]
    assert index.ends() == {Source.OUTPUT: 120, Source.NOTES: 6}
    with pytest.raises(ValueError, match="31"):
        AnswerIndex.decode(b"\x1f" + bytes(7) + b"\x01" * 16).ends()


def test_an_entry_of_another_index_is_taken_as_it_is_with_what_was_asked():
    other, index = AnswerIndex(), AnswerIndex()
    other.add(7, Source.OUTPUT, 100, 20)
    other.add(8, Source.NOTES, 5, 1, unsent=True)
    index.add_from(other, 1, as_json=None)
    index.add_from(other, 0, as_json=True)
    assert list(index) == [
        Entry(8, Source.NOTES, 5, 1, True, None),
        Entry(7, Source.OUTPUT, 100, 20, False, True),
    ]
