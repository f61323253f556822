"""Kinds of tables that can't be read here, for want of what `batchd[tables]` installs.

That is for the operator to mend: their files wait, and go on by themselves. Python looks for what was
not there anew each time, which costs a tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from batchd.core.records import Kind, kind_of
from batchd.core.tasks import Task

#: What each needs, read and written; the others need nothing.
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "excel": ("openpyxl", "xlsxwriter"),
    "parquet": ("pyarrow",),
}


def library_missing(kind: Kind | None) -> str | None:
    """Return the library that files of a kind want, and that is not here; None where none is."""
    needed = NEEDED.get(kind, ()) if kind is not None else ()
    return next((name for name in needed if find_spec(name) is None), None)


def kind_read(name: str, task: Task) -> Kind | None:
    """Return as what a task reads a file: as it says, or as the file's name does."""
    return kind_of(name) if task.input.format == "auto" else task.input.format


def lack_in_words(kind: Kind | None, library: str) -> str:
    """Say what is missing, and what puts it there."""
    return (
        f"{(kind or '').capitalize()} files need {library}, which is not installed here:"
        ' pip install "batchd[tables]"'
    )
