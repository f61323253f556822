"""Which rows travel in one request: so many records of a round in order, and known by the first.

Nobody keeps this. A shard is cut between two requests, so that its rows and the number of records
per request tell it again: which request has which rows, its `custom_id`, and its line in the file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice

from batchd.core.rows import RowSet, RowSetBuilder


def chunks_of(rows: RowSet, size: int) -> Iterator[tuple[int, ...]]:
    """Yield the rows of each request, in order; only the last one may have fewer than `size`."""
    rest = iter(rows)
    while chunk := tuple(islice(rest, size)):
        yield chunk


def custom_id_of(chunk: tuple[int, ...]) -> str:
    """Return the `custom_id` of the request that carries these rows."""
    return str(chunk[0])


class Chunks:
    """The requests of one shard, found without making a list of them."""

    def __init__(self, rows: RowSet, size: int) -> None:
        self.rows = rows
        self.size = size
        #: by range: how many rows come before it
        self._before = list(accumulate((b - a + 1 for a, b in rows.ranges), initial=0))

    def __len__(self) -> int:
        return (self._before[-1] + self.size - 1) // self.size

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return chunks_of(self.rows, self.size)

    def of(self, custom_id: str) -> tuple[int, ...] | None:
        """Return the rows of a request; None where no request of this shard has that id."""
        row = _row(custom_id)
        place = self._place(row)
        if place is None or place % self.size:
            return None
        if self.size == 1:
            return (row,)  # as nearly always
        return tuple(self._row_at(n) for n in range(place, self._end(place)))

    def _end(self, place: int) -> int:
        return min(place + self.size, self._before[-1])

    def _place(self, row: int) -> int | None:
        """Return how many rows come before this one; None where it is none of them."""
        at = bisect_right(self.rows.ranges, (row, 1 << 62)) - 1
        if at < 0 or row > self.rows.ranges[at][1]:
            return None
        return self._before[at] + row - self.rows.ranges[at][0]

    def _row_at(self, place: int) -> int:
        at = bisect_right(self._before, place) - 1
        return self.rows.ranges[at][0] + place - self._before[at]


def _row(custom_id: str) -> int:
    """Return the row that an id tells; 0 where it is none of ours."""
    is_ours = custom_id.isascii() and custom_id.isdecimal() and not custom_id.startswith("0")
    return int(custom_id) if is_ours and len(custom_id) < 19 else 0


def lines_within(rows: RowSet, whole: RowSet, size: int) -> RowSet | None:
    """Return the lines that the requests of these rows have in the file of the `whole` round.

    None where that file does not have just these requests: a job that was recovered has shards
    that nobody cut out of one round.
    """
    first = _count_before(rows.ranges[0][0], whole)
    end = first + len(rows)
    is_cut_between = first % size == 0 and (end % size == 0 or end == len(whole))
    if not is_cut_between or _stretch(whole, first, end) != rows:
        return None
    return RowSet(((first // size + 1, -(-end // size)),))


def _count_before(row: int, whole: RowSet) -> int:
    return sum(min(b, row - 1) - a + 1 for a, b in whole.ranges if a < row)


def _stretch(whole: RowSet, first: int, end: int) -> RowSet:
    """Return the rows from one place to another, counted from 0."""
    builder, place = RowSetBuilder(), 0
    for a, b in whole.ranges:
        begin, stop = max(first - place, 0), min(end - place, b - a + 1)
        if begin < stop:
            builder.add_range(a + begin, a + stop - 1)
        place += b - a + 1
    return builder.build()
