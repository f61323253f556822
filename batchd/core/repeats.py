"""Finds what came twice among millions of ids: by 64-bit hashes, eight bytes each.

Two ids may have one hash, so what is found are suspects; whoever has the ids reads them again.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict

_BUCKETS = 256  #: of hashes; a set of all at once would take ten times their memory


class Repeats:
    """Takes ids, and remembers nothing but their hashes."""

    def __init__(self) -> None:
        # Made when they are needed: of thousands of small files most would be empty.
        self._hashes: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))

    def add(self, text: str) -> None:
        """Take one id."""
        fingerprint = hash(text)
        self._hashes[fingerprint % _BUCKETS].append(fingerprint)

    def suspects(self) -> set[int]:
        """Return the hashes that came more than once."""
        return {one for hashes in self._hashes.values() for one in _repeated(hashes)}


def _repeated(hashes: array[int]) -> set[int]:
    if len(set(hashes)) == len(hashes):
        return set()
    return {one for one, times in Counter(hashes).items() if times > 1}
