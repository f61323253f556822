"""How a command speaks to the daemon, and what becomes of a no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from batchd.cli.exits import Exit, complain
from batchd.cli.local import for_whom, nowhere
from batchd.control.client import NotListening, Refused, ask
from batchd.control.places import NoSuchJob, job_meant
from batchd.control.why import Ambiguous
from batchd.core.errors import BatchdError
from batchd.core.names import printable
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from batchd.configuration import Loaded
    from batchd.spool.recipes import Recipes

_EXITS = {
    "refused": Exit.REFUSED,
    "denied": Exit.PERMISSION,
    "unusable": Exit.FAILED,
    "impossible": Exit.REFUSED,
    "not-found": Exit.NOT_FOUND,
    "ambiguous": Exit.USAGE,
    "invalid": Exit.USAGE,
    "too-large": Exit.USAGE,
}


def folders_of(loaded: Loaded) -> Folders:
    """The root that is meant."""
    return Folders(loaded.settings.folders.root.resolve())


def recipes_of(loaded: Loaded) -> Recipes:
    """The task files that are meant."""
    from batchd.spool.recipes import Recipes  # late: its templates need a library

    return Recipes(loaded.tasks, loaded.settings.defaults)


def wish(folders: Folders, verb: str, jobs: Sequence[str], because: str = "") -> int:
    """Ask the same of several jobs, each for itself; a line for each, and one exit code for all."""

    def one(job: str) -> Callable[[], Any]:
        body = {"because": because}
        return lambda: ask(folders, "POST", "jobs", job_meant(job), verb, body=body)

    return _together(_tried(one(job), about=job) for job in dict.fromkeys(jobs))


def say(folders: Folders, verb: str, body: dict[str, Any]) -> int:
    """Ask what concerns no job."""
    return _together([_tried(lambda: ask(folders, "POST", verb, body=body))])


def _tried(asked: Callable[[], Any], *, about: str = "") -> Exit:
    prefix = f"{printable(about)}: " if about else ""
    try:
        said = asked()
    except NoSuchJob as nobody:
        complain(str(nobody))
        return Exit.NOT_FOUND
    except Refused as refused:
        complain(f"{prefix}{refused}")
        return _EXITS.get(refused.code, Exit.TRY_AGAIN)
    click.echo(f"{said['job']}: {said['sentence']}" if said.get("job") else said["sentence"])
    return Exit.OK


def exit_of_refusal(no: BatchdError) -> Exit:
    """What a no means for the shell, whether the daemon or the ledger says it."""
    if isinstance(no, Refused):
        return _EXITS.get(no.code, Exit.TRY_AGAIN)
    return Exit.USAGE if isinstance(no, Ambiguous) else Exit.NOT_FOUND


def _together(exits: Iterable[Exit]) -> Exit:
    """All of it, some of it, or the first no."""
    codes = list(exits)
    if len(set(codes)) <= 1:
        return codes[0] if codes else Exit.OK
    return Exit.PARTLY if Exit.OK in codes else codes[0]


def needs_daemon(command: Callable[..., int], folders: Folders) -> int:
    """Run what only a daemon can do; say how to start one where none runs."""
    try:
        return command()
    except NotListening as nobody:
        if nobody.is_running:
            complain(str(nobody))
            return Exit.TRY_AGAIN
        if note := nowhere(folders):
            complain(note)
            return Exit.NOT_RUNNING
        root = quote(f"folders.root={folders.root}")
        complain(f"the daemon is not running, and only it can do that; start it: batchd run --set"
                 f" {root}, or systemctl start batchd where it is a service")  # fmt: skip
        return Exit.NOT_RUNNING
    except PermissionError:
        complain(f"{folders.socket} {for_whom(folders)}")
        return Exit.PERMISSION
