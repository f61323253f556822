"""Everything deterministic comes from here: a digest of the request, and draws from it."""

from __future__ import annotations

import hashlib
import math

import msgspec

_MIDDLE = 127.5  # of a byte
_SQUARES = [(byte - _MIDDLE) ** 2 for byte in range(256)]


def digest_of(value: object) -> str:
    """64 hex digits: the same for equal JSON, whatever the order of its members."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def share_of(*parts: str) -> float:
    """A number in [0, 1) that belongs to these words: who is below a rate is hit by it."""
    mark = hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
    return int.from_bytes(mark[:8], "big") / 2**64


def unit_vector(seed: str, dimensions: int) -> list[float]:
    """A vector of length 1 that belongs to `seed`. 256 steps a dimension keep it quick."""
    raw = hashlib.shake_256(seed.encode(errors="replace")).digest(dimensions)
    length = math.sqrt(sum(map(_SQUARES.__getitem__, raw)))
    values = [round((byte - _MIDDLE) / length, 8) for byte in range(256)]
    return [values[byte] for byte in raw]


class Draws:
    """A stream of choices that belongs to a digest."""

    def __init__(self, digest: str) -> None:
        self._seed = digest
        self._count = 0

    def number(self, low: int, high: int) -> int:
        """One of low..high, both included."""
        self._count += 1
        return low + int(share_of(self._seed, str(self._count)) * (high - low + 1))

    def word(self, length: int = 8) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed} {self._count}".encode()).hexdigest()[:length]
