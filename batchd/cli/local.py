"""Reading commands: the daemon is asked, and where it can't be, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from batchd.control.client import NotListening, Refused
from batchd.control.places import NoSuchJob
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from batchd.control.ledger import Reader

SOURCE = "the ledger"  #: who says so where the daemon can't be asked
_BUSY, _NOT_THEIRS = "unavailable", "refused"

Answer = TypeVar("Answer")


def from_ledger(
    asked: Callable[[], Answer], read: Callable[[Reader], Answer], folders: Folders
) -> tuple[Answer, str | None]:
    """Return what the daemon says; else what the ledger does, read only, and why.

    Raises `Refused`. What `read` needs is imported by it: where a daemon answers, a command needs
    neither SQLite nor what judges.
    """
    try:
        return asked(), None
    except NotListening as nobody:
        why = "does not answer" if nobody.is_running else "is not running (start it: batchd run)"
    except PermissionError:
        why = "may not be asked by this user"
    except Refused as refused:
        if refused.code not in (_BUSY, _NOT_THEIRS):
            raise
        why = f"{'has no time' if refused.code == _BUSY else 'says no'} ({refused})"
    from batchd.control.ledger import reading

    note = nowhere(folders) or f"the daemon {why}; this is from the ledger, read only"
    with reading(folders.database) as reader:
        try:
            return read(reader), note
        except NoSuchJob as nobody:
            raise NoSuchJob(f"{nobody}; {note}") from nobody


def nowhere(folders: Folders) -> str | None:
    """Say so where no daemon ever was: whoever stands in a wrong folder must not read "no jobs"."""
    if any(map(_is_there, (folders.inbox, folders.var))):
        return None
    return (
        f"the daemon is not here: {folders.root} is no root of batchd, for it has neither inbox/ nor"
        " var/. Go to the root, or name its settings with --config FILE; batchd init makes a new one"
    )


def _is_there(folder: Path) -> bool:
    try:
        folder.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # and not for us to see
    return True


def as_said(answer: object) -> dict[str, Any]:
    """Return an answer as it would have come from the daemon: plain values of JSON."""
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return said


def say_so(note: str | None) -> None:
    """Whoever reads must know whether anything goes on."""
    if note:
        click.echo(f"batchd: {note}", err=True)
