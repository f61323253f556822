"""Where the files lie that come with the program: in a wheel beside it, in a checkout at the top."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def shipped(*parts: str) -> Path:
    """Return a file or folder that comes with the program, such as `config`, `batchd.toml`."""
    in_wheel = _PACKAGE.joinpath("_shipped", *parts)
    return in_wheel if in_wheel.exists() else _PACKAGE.parent.joinpath(*parts)
