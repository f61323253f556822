"""What only some tables need, and is installed with `batchd[tables]`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from batchd.core.errors import LibraryMissing


def library(name: str, *, kind: str) -> Any:
    """Import a library of the extra, late: most tables are CSV. Raises `LibraryMissing`."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise LibraryMissing(
            f"{kind} files need {error.name}, which is not installed here:"
            ' pip install "batchd[tables]"'
        ) from error
