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
) -> tuple[dict[str, Any], str | None]:
    """Return what the daemon says; else what the ledger does, read only, and why. Raises `Refused`."""
    try:
        return asked(), None
    except NotListening as nobody:
        why = "does not answer" if nobody.is_running else "is not running (start it: batchd run)"
    except PermissionError:
        why = "may not be asked by this user"
    except Refused as refused:
        if refused.code != _BUSY:
            raise
        why = f"has no time ({refused})"
    with reading(folders.database) as reader:
        return read(reader), f"the daemon {why}; this is from the ledger, read only"


def say_so(note: str | None) -> None:
    """Whoever reads must know whether anything goes on."""
    if note:
        click.echo(f"batchd: {note}", err=True)
