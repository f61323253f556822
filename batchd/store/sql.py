"""Named statements from `queries.sql` and `recovery.sql`, and the schema."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def schema() -> str:
    """Return the statements that make an empty ledger."""
    return files("batchd.store").joinpath("schema.sql").read_text(encoding="utf-8")


@cache
def _queries() -> dict[str, str]:
    return statements(files("batchd.store").joinpath("queries.sql").read_text(encoding="utf-8"))


def statements(text: str) -> dict[str, str]:
    """Return the statements of a text by their names."""
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def query(name: str) -> str:
    """Return the statement of that name. Raises `KeyError` for a name that isn't there."""
    return _queries()[name]


@cache
def _recovery() -> dict[str, str]:
    return statements(files("batchd.store").joinpath("recovery.sql").read_text(encoding="utf-8"))


def recovery_query(name: str) -> str:
    """Return a statement of `recovery.sql`, which only recovery runs."""
    return _recovery()[name]
