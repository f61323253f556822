"""`batchd status`: all of a root on one screen."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batchd.cli.local import SOURCE, as_said, from_ledger
from batchd.cli.options import reads_settings
from batchd.cli.screen import LABEL, LINES, Line, screen
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.control.shapes import Status
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from batchd.control.ledger import Reader

_SECONDS = 2.0  #: between two objects of --watch --json


@click.command()
@click.option("--watch", is_flag=True, help="Draw it anew every two seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
@reads_settings
def status(loaded: Loaded, watch: bool, as_json: bool) -> None:
    """Show the daemon, the inbox, the jobs, the batches, and what waits for what.

    It fits 24 lines, and ends with what is not well and the command that mends it.
    """
    folders = Folders(loaded.settings.folders.root.resolve())
    if watch and not as_json and not sys.stdout.isatty():
        raise click.UsageError("--watch draws on a terminal; elsewhere: --watch --json")
    with contextlib.suppress(KeyboardInterrupt) if watch else contextlib.nullcontext():
        _show(loaded, folders, watch=watch, as_json=as_json)


def _show(loaded: Loaded, folders: Folders, *, watch: bool, as_json: bool) -> None:
    def lines(most: int, columns: int | None) -> list[Line]:
        told, note = _look(loaded, folders)
        found = msgspec.convert(told, Status)
        return screen(found, note, now=time.time(), lines=most, columns=columns)

    if as_json:
        _tell(loaded, folders, watch=watch)
    elif not sys.stdout.isatty():
        for line in lines(LINES, None):
            click.echo(_plain(line))
    elif watch:
        from batchd.cli import drawing  # late: rich takes a tenth of a second

        drawing.watch(lines)
    else:
        from batchd.cli import drawing

        drawing.draw(lines)


def _look(loaded: Loaded, folders: Folders) -> tuple[dict[str, Any], str | None]:
    """Return what the daemon says, or what the ledger does, and why."""

    def read(reader: Reader) -> dict[str, Any]:
        from batchd.cli.asking import recipes_of
        from batchd.control.presence import presence
        from batchd.control.status import status_of
        from batchd.control.views import status_as_dict

        daemon, now = presence(folders), time.time()
        found = status_of(
            folders,
            loaded.settings,
            recipes=recipes_of(loaded),
            reader=reader,
            daemon=daemon,
            now=now,
        )
        return as_said(status_as_dict(found, folders, source=SOURCE))

    return from_ledger(lambda: dict(ask(folders, "GET", "status")), read, folders)


def _tell(loaded: Loaded, folders: Folders, *, watch: bool) -> None:
    while True:
        click.echo(json.dumps(_look(loaded, folders)[0]))
        if not watch:
            return
        time.sleep(_SECONDS)


def _plain(line: Line) -> str:
    done = f"{line.done[0]:,}/{line.done[1]:,}" if line.done else ""
    return f"{line.label:<{LABEL}}{f'{done:>15}  ' if done else ''}{line.text}"
