"""`batchd reload`: have a running daemon read its settings again, and say what came of it."""

from __future__ import annotations

import os
import signal
import time
from typing import NoReturn

import click

from batchd.cli.asking import exit_of_refusal, folders_of, needs_daemon
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.client import NotListening, Refused, ask
from batchd.control.messages import Reloaded
from batchd.control.presence import Presence, presence
from batchd.core.errors import BatchdError
from batchd.runtime.clock import SystemClock
from batchd.spool.bulletin import ReloadSays, reload_says
from batchd.spool.folders import Folders

_SECONDS = 30.0  #: a file on a slow disk is read in less
_PAUSE = 0.05  #: seconds between two looks at what the daemon says


@click.command()
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Wait for the daemon's word (that is the default), or only ask it.",
)
@reads_settings
def reload(loaded: Loaded, wait: bool) -> int:
    """Have the daemon read its settings again.

    What can change while it runs holds at once; what needs a restart is named. Where anything is
    wrong, nothing changes: the message says where, and the exit code is 78.
    """
    # Whoever came so far has read the same file without a mistake; the daemon's word counts.
    folders = folders_of(loaded)
    there = presence(folders)
    if not there.is_running:
        complain(
            f"no daemon serves {folders.root}, so there is nothing to reload: it reads"
            " its settings when it is started"
        )
        return Exit.NOT_RUNNING
    if not wait:
        _hang_up(there, folders)
        click.echo(f"process {there.pid} was asked; what comes of it is in {folders.log}")
        return Exit.OK
    return needs_daemon(lambda: _asked(there, folders), folders)


def _asked(there: Presence, folders: Folders) -> int:
    """Ask over the socket; a daemon that can't be reached there hears a signal all the same."""
    try:
        said = ask(folders, "POST", "reload", kind=Reloaded)
    except Refused as no:
        complain(str(no))
        return exit_of_refusal(no)
    except NotListening as nobody:
        if not nobody.is_running:
            raise
        said = _by_signal(there, folders)
    return _tell(said)


def _by_signal(there: Presence, folders: Folders) -> Reloaded:
    asked = SystemClock().monotonic()
    _hang_up(there, folders)
    said = _word_of(there, asked, folders)
    return Reloaded(applied=said.applied, waiting=said.waiting, problem=said.problem)


def _hang_up(there: Presence, folders: Folders) -> None:
    if there.pid is None:
        raise BatchdError(f"{folders.lock} does not say which process the daemon is")
    try:
        os.kill(there.pid, signal.SIGHUP)
    except PermissionError:
        _refuse(there.pid)
    except ProcessLookupError:
        raise BatchdError(
            f"there is no process {there.pid} here; where the daemon runs in a container, reload"
            " it in there"
        ) from None


def _refuse(pid: int) -> NoReturn:
    raise PermissionError(
        f"process {pid} is another user's: ask as that user or as root, such as"
        " sudo systemctl reload batchd"
    )


def _word_of(there: Presence, asked: float, folders: Folders) -> ReloadSays:
    """Wait for what the daemon says of a reading that began after we asked."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        said = reload_says(folders.var)
        if said is not None and said.pid == there.pid and said.asked >= asked:
            return said
        if not presence(folders).is_running:
            raise BatchdError(f"the daemon ended meanwhile: see {folders.log}")
        time.sleep(_PAUSE)
    raise BatchdError(
        f"no word from process {there.pid} within {_SECONDS:g} seconds: see {folders.log}"
    )


def _tell(said: Reloaded) -> int:
    if said.problem is not None:
        complain(
            f"{said.problem}\nnothing was changed: the daemon goes on with the settings it had"
        )
        return Exit.CONFIGURATION
    for what, names in (("changed", said.applied), ("needs a restart", said.waiting)):
        for name in names:
            click.echo(f"{what}: {name}")
    if not said.applied and not said.waiting:
        click.echo("nothing is different")
    return Exit.OK
