"""How numbers are shown to people: times and sizes, never with more than two units."""

from __future__ import annotations

from collections.abc import Iterator


def in_words(name: str, fact: object) -> str:
    """Show a fact as its unit wants it: `quiet_seconds`, `size_bytes`, `again_seconds`."""
    if not isinstance(fact, int | float):
        return "?" if fact is None else str(fact)
    if name == "again_seconds":
        return f"in {duration(fact)}" if fact > 0 else "now"
    if name.endswith("_seconds"):
        return duration(fact)
    return size(fact) if name.endswith("_bytes") else f"{fact:,}"


def duration(seconds: float) -> str:
    """`1.4 s`, `12 min`, `2 h 11 min`, `3 d 4 h`: never more than two units."""
    if seconds < 59.5:
        return f"{max(seconds, 0.0):.1f}".removesuffix(".0") + " s"
    parts = list(_parts(round(seconds)))[:2]
    return " ".join(part for part in parts if not part.startswith("0 "))


def _parts(seconds: int) -> Iterator[str]:
    rest = seconds
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or rest != seconds:
            yield f"{count} {unit}"


def size(count: float) -> str:
    """`812 bytes`, `41.2 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} bytes"


def money(dollars: float) -> str:
    """`12.40`, `0.0031`: cents, and of small sums what there is to see."""
    return f"{dollars:,.2f}" if dollars >= 0.1 or dollars == 0 else f"{dollars:.4f}"
