"""Reading commands: the daemon is asked, and where it can't be, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from batchd.control.client import NotListening, Refused
from batchd.control.ledger import Reader, reading
from batchd.spool.folders import Folders

_BUSY = "unavailable"


def from_ledger(
    asked: Callable[[], dict[str, Any]],
    read: Callable[[Reader], dict[str, Any]],
    folders: Folders,
) -> dict[str, Any]:
    """Return what the daemon says; else what the ledger does, read only. Raises `Refused`."""
    try:
        return asked()
    except (NotListening, PermissionError):
        pass
    except Refused as refused:
        if refused.code != _BUSY:
            raise
    with reading(folders.database) as reader:
        return read(reader)


def say_so(found: dict[str, Any]) -> None:
    """Whoever reads must know whether anything goes on."""
    if found["source"] == "the ledger":
        click.echo("batchd: the daemon was not asked; this is from the ledger, read only", err=True)
