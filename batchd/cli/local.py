"""Reading commands: the daemon is asked, and where it can't be, the ledger."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from batchd.control.client import NotListening, Refused, TooOld
from batchd.control.places import NoSuchJob
from batchd.core.names import printable
from batchd.spool.folders import Folders
from batchd.spool.users import name_of

if TYPE_CHECKING:
    from batchd.control.ledger import Reader

SOURCE = "the ledger"  #: who says so where the daemon can't be asked
_NOBODY = "the daemon is not running (start it: batchd run)"
_ROOT = "root"  #: nobody is to become a member of its group
_BUSY, _NOT_THEIRS = "unavailable", "refused"

Answer = TypeVar("Answer")
Other = TypeVar("Other")


def from_ledger(
    asked: Callable[[], Answer], read: Callable[[Reader], Answer], folders: Folders
) -> tuple[Answer, str | None]:
    """Return what the daemon says; else what the ledger does, read only, and why.

    Raises `Refused`. What `read` needs is imported by it: where a daemon answers, a command needs
    neither SQLite nor what judges.
    """
    answer, why = _asked(asked)
    if answer is not None:
        return answer, None
    from batchd.control.ledger import reading

    note = nowhere(folders) or f"{why}; this is from the ledger, read only"
    try:
        with reading(folders.database) as reader:
            return read(reader), note
    except NoSuchJob as nobody:
        raise NoSuchJob(f"{nobody}; {note}") from nobody
    except PermissionError as error:
        raise closed(error, folders) from error


def closed(error: PermissionError, folders: Folders) -> PermissionError:
    """Return the same, with who may and how to become one of them."""
    path = error.filename or folders.root
    return PermissionError(error.errno, f"it {for_whom(folders)}", str(path))


def for_whom(folders: Folders) -> str:
    """Say who may ask about a root, and the command that lets another one."""
    group = next(filter(None, map(_group_of, (folders.socket, folders.inbox, folders.root))), None)
    if group is None:
        return "is for the group of inbox/ and root only: sudo, or ask who runs batchd here"
    if group == _ROOT:
        return "is for the group root and root only: try sudo"
    me = printable(name_of(os.geteuid()))
    return f"is for the group {group} and root only: sudo usermod -aG {group} {me}, and a new login"


def _group_of(path: Path) -> str | None:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return None


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


def from_here(
    asked: Callable[[], Answer], look: Callable[[], Other]
) -> tuple[Answer | Other, str | None]:
    """Return what the daemon says; else what this command finds by itself, and why.

    Raises `Refused`. Where no daemon runs that is the usual way, and needs no word.
    """
    answer, why = _asked(asked)
    if answer is not None:
        return answer, None
    return look(), None if why == _NOBODY else f"{why}; this command has looked by itself"


def _asked(asked: Callable[[], Answer]) -> tuple[Answer | None, str]:
    """Return what the daemon says, or why it doesn't."""
    try:
        return asked(), ""
    except TooOld as old:
        return None, str(old)
    except NotListening as nobody:
        return None, "the daemon does not answer" if nobody.is_running else _NOBODY
    except PermissionError:
        return None, "the daemon may not be asked by this user"
    except Refused as refused:
        if refused.code not in (_BUSY, _NOT_THEIRS):
            raise
        said = "has no time" if refused.code == _BUSY else "says no"
        return None, f"the daemon {said} ({refused})"


def as_said(answer: object) -> dict[str, Any]:
    """Return an answer as it would have come from the daemon: plain values of JSON."""
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return said


def say_so(note: str | None) -> None:
    """Whoever reads must know whether anything goes on."""
    if note:
        click.echo(f"batchd: {note}", err=True)
