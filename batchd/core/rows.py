"""Sets of row numbers: who travels in a shard, who is to be tried again.

A row is the 1-based number of a line of the dropped file, or of a record where a task reads it. A job
of a million requests is a handful of ranges, so the ledger keeps kilobytes where one row per request
would keep gigabytes.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows as sorted, disjoint, non-touching ranges `(first, last)`, both inclusive."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, rows: Iterable[int]) -> RowSet:
        """Collect rows in any order, repeated or not."""
        builder = RowSetBuilder()
        for row in sorted(rows):
            builder.add(row)
        return builder.build()

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __contains__(self, row: int) -> bool:
        at = bisect_right(self.ranges, (row, row))
        return any(first <= row <= last for first, last in self.ranges[max(at - 1, 0) : at + 1])

    def __or__(self, other: RowSet) -> RowSet:
        builder = RowSetBuilder()
        for first, last in sorted((*self.ranges, *other.ranges)):
            builder.add_range(first, last)
        return builder.build()

    def __sub__(self, other: RowSet) -> RowSet:
        builder, holes, at = RowSetBuilder(), other.ranges, 0
        for first, last in self.ranges:
            while at < len(holes) and holes[at][1] < first:
                at += 1
            for hole in range(at, len(holes)):
                hole_first, hole_last = holes[hole]
                if hole_first > last:
                    break
                if first < hole_first:
                    builder.add_range(first, hole_first - 1)
                first = hole_last + 1
            if first <= last:
                builder.add_range(first, last)
        return builder.build()

    def encode(self) -> bytes:
        """Pack into a compressed blob: varints of gap and length, alternating."""
        packed, at = bytearray(), 0
        for first, last in self.ranges:
            _put(packed, first - at)
            _put(packed, last - first)
            at = last
        return zlib.compress(bytes(packed))

    @classmethod
    def decode(cls, blob: bytes) -> RowSet:
        """Undo `encode`. Raises `zlib.error` or `ValueError` for anything else."""
        numbers = list(_take_all(zlib.decompress(blob)))
        ranges, at = [], 0
        for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
            first = at + gap
            at = first + length
            ranges.append((first, at))
        return cls(tuple(ranges))


class RowSetBuilder:
    """Takes rows in ascending order and keeps only ranges: flat memory for a long file."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, row: int) -> None:
        """Add one row, not smaller than any before."""
        self.add_range(row, row)

    def add_range(self, first: int, last: int) -> None:
        """Add rows first..last; `first` is not smaller than the first of any range before."""
        if self._ranges and first <= self._ranges[-1][1] + 1:
            start, end = self._ranges[-1]
            self._ranges[-1] = (start, max(end, last))
        else:
            self._ranges.append((first, last))

    def build(self) -> RowSet:
        """Freeze what was added."""
        return RowSet(tuple(self._ranges))


def _put(packed: bytearray, number: int) -> None:
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)


def _take_all(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a row set that ends in the middle of a number")
