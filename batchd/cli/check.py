"""`batchd check FILE...`: what would become of a file, before it is dropped."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from batchd.cli.asking import folders_of
from batchd.cli.check_page import lines_of
from batchd.cli.exits import Exit, complain
from batchd.cli.local import from_ledger
from batchd.cli.options import reads_settings
from batchd.cli.tasks_known import names_known, task_called
from batchd.configuration import Loaded
from batchd.control.checking import (
    SCHEMA,
    Checked,
    Fate,
    Holds,
    alone,
    as_dict,
    as_known,
    standing_of,
)
from batchd.control.checking import check as look_at
from batchd.control.client import NotListening, Refused, ask
from batchd.control.messages import Standing
from batchd.control.tasks import NoSuchTask
from batchd.control.views import settings_said
from batchd.core.errors import ConfigError
from batchd.core.names import printable
from batchd.core.tasks import Task
from batchd.meters.prices import Prices
from batchd.meters.tokens import counter
from batchd.settings import Settings
from batchd.spool.folders import Folders

#: When files differ, the worst of them is the exit code.
_WORST = (
    (Fate.REJECTED, Exit.FAILED),
    (Fate.UNREADABLE, Exit.FAILED),
    (Fate.NOT_FOUND, Exit.NOT_FOUND),
)


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def check(loaded: Loaded, files: tuple[Path, ...], as_json: bool) -> int:
    """Say what would become of files: batches, tokens, cost, and every mistake.

    Every line is read here, by the rules and the settings that the daemon has (where one runs, and
    neither --config nor --set names others), wherever the file lies, and nothing is sent. A file in a task's folder (inbox/NAME/) is read as that task does. Each is held against
    the budget by itself, with what is spent already. Exits 1 when a file would be rejected, 4 when
    one is not there.
    """
    return look(loaded, [(file, _task_of(file, loaded)) for file in files], as_json=as_json)


def look(loaded: Loaded, files: Sequence[tuple[Path, Task | str | None]], *, as_json: bool) -> int:
    """Check files, each by its task or as request lines, and show what was found."""
    settings, holds = _as_known(loaded)
    prices = Prices(settings.prices)
    count = counter(settings.batches.count_tokens)
    known = names_known(loaded)
    read = partial(look_at, prices=prices, count=count, holds=holds, tasks=known)
    results = []
    for file, task in files:
        if isinstance(task, str):
            found = Checked(file, Fate.UNREADABLE, trouble=f"it would wait: {task}")
        else:
            found = read(file, settings, task=task)
        results.append(found)
        if not as_json:
            _show(results, settings)
    if as_json:
        files_as_dicts = [as_dict(checked) for checked in results]
        click.echo(json.dumps({"schema": SCHEMA, "prices": prices.source, "files": files_as_dicts}))
    fates = {checked.fate for checked in results}
    return next((code for fate, code in _WORST if fate in fates), Exit.OK)


def _task_of(file: Path, loaded: Loaded) -> Task | str | None:
    """Return the task whose folder a file lies in, or what is wrong with it; None for no task's."""
    folder = file.absolute().parent
    if folder.parent.resolve() != folders_of(loaded).inbox.resolve():
        return None
    try:
        recipe = task_called(folder.name, loaded)
    except (NoSuchTask, Refused):
        return None
    return recipe.task or recipe.trouble


def _as_known(loaded: Loaded) -> tuple[Settings, Holds]:
    """Ask the daemon, else the ledger, where this user may. Neither is needed.

    What counts are the daemon's settings, unless others are named: what if they were so?
    """
    folders = folders_of(loaded)
    settings = loaded.settings if loaded.is_named else _the_daemons(folders) or loaded.settings
    try:
        standing, _ = from_ledger(
            lambda: msgspec.convert(ask(folders, "GET", "standing"), Standing),
            lambda reader: standing_of(reader, now=time.time()),
            folders,
        )
    except (ConfigError, Refused, OSError) as error:
        complain(f"what is spent already is not counted: {error}")
        return settings, alone
    return as_known(settings, standing)


def _the_daemons(folders: Folders) -> Settings | None:
    try:
        return settings_said(ask(folders, "GET", "config"))
    except (NotListening, Refused, PermissionError, msgspec.ValidationError):
        return None


def _show(results: Sequence[Checked], settings: Settings) -> None:
    """The last of them, at once: the next may take a while."""
    if len(results) > 1:
        click.echo()
    for line in lines_of(results[-1], settings):
        click.echo(printable(line))
