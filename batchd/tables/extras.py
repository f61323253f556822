"""What only some tables need, and is installed with `batchd[tables]`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from batchd.core.problems import Problem
from batchd.core.records import BadTable


def library(name: str, *, kind: str) -> Any:
    """Import a library of the extra, late: most tables are CSV. Raises `BadTable` without it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise BadTable(
            Problem(
                "extra_missing",
                f"{kind} files need a library that is not installed here ({error.name})",
                'Have the operator install it: pip install "batchd[tables]"; or save it as CSV.',
            )
        ) from error
