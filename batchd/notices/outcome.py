"""What came of a notice."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """Whether it was given, what to say of that, and what was answered."""

    is_given: bool
    text: str
    output: str = ""
