"""Row sets are sets, and small."""

import random
import zlib

import pytest

from batchd.core.rows import RowSet, RowSetBuilder


def some_rows(chance: random.Random, *, below: int = 60) -> set[int]:
    return {row for row in range(1, below) if chance.random() < chance.random()}


def test_a_row_set_is_the_set_of_its_rows():
    chance = random.Random(1)
    for _ in range(500):
        a, b = some_rows(chance), some_rows(chance)
        one, other = RowSet.of(a), RowSet.of(b)
        assert list(one) == sorted(a)
        assert len(one) == len(a)
        assert bool(one) == bool(a)
        assert [row in one for row in range(62)] == [row in a for row in range(62)]
        assert one | other == RowSet.of(a | b)
        assert one - other == RowSet.of(a - b)


def test_ranges_are_sorted_and_never_touch():
    chance = random.Random(2)
    for _ in range(200):
        rows = RowSet.of(some_rows(chance)) | RowSet.of(some_rows(chance))
        for (_, last), (first, _) in zip(rows.ranges, rows.ranges[1:], strict=False):
            assert first > last + 1


def test_order_and_repetition_do_not_matter():
    assert RowSet.of([3, 1, 2, 3]) == RowSet(((1, 3),))


def test_a_blob_becomes_the_rows_it_was_made_from():
    chance = random.Random(3)
    for _ in range(200):
        rows = RowSet.of(row * chance.choice((1, 1000, 10**12)) for row in some_rows(chance))
        assert RowSet.decode(rows.encode()) == rows


def test_a_million_rows_are_a_handful_of_bytes():
    assert len(RowSet.of(range(1, 1_000_001)).encode()) < 20


def test_scattered_rows_are_subtracted_in_one_pass():
    """Every range against every other would be 10^10 steps here."""
    odd = RowSet.of(range(1, 200_001, 2))
    everything = RowSet(((1, 200_000),))
    assert len(everything - odd) == 100_000
    assert len(odd - odd) == 0
    assert len(odd - RowSet.of(range(2, 200_001, 2))) == 100_000


def test_a_hole_may_reach_over_several_ranges():
    assert RowSet(((1, 3), (5, 7), (9, 11))) - RowSet(((2, 10),)) == RowSet(((1, 1), (11, 11)))


@pytest.mark.parametrize("packed", [b"\x01", b"\x01\x80", b"\x80"])
def test_a_cut_blob_is_not_taken_for_rows(packed: bytes):
    with pytest.raises(ValueError, match=r"number|argument"):
        RowSet.decode(zlib.compress(packed))


def test_what_is_no_blob_is_not_taken_for_rows():
    with pytest.raises(zlib.error):
        RowSet.decode(b"rows")


def test_a_builder_takes_touching_ranges_as_one():
    builder = RowSetBuilder()
    builder.add(1)
    builder.add(1)
    builder.add_range(2, 4)
    builder.add_range(3, 3)
    builder.add(6)
    assert builder.build() == RowSet(((1, 4), (6, 6)))
