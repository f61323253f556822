"""`batchd task check NAME FILE`: what would become of a table, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import click

from batchd.cli.asking import recipes_of
from batchd.cli.check import look
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.cli.tasks_known import BrokenTask, NoSuchTask, task_called
from batchd.configuration import Loaded


@click.command(name="check")
@click.argument("name", metavar="NAME")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def check(loaded: Loaded, name: str, files: tuple[Path, ...], as_json: bool) -> int:
    """Say what would become of a table: the first request, tokens, cost, every mistake.

    It is read by what the daemon plans by, and nothing is sent. What lies in the task's folder
    already, batchd check reads so, too. Exits 1 when it would be rejected or the task is broken, 4
    when there is no such task or file.
    """
    try:
        task = task_called(name, recipes_of(loaded))
    except NoSuchTask as nobody:
        complain(str(nobody))
        return Exit.NOT_FOUND
    except BrokenTask as broken:
        complain(str(broken))
        return Exit.FAILED
    return look(loaded, [(file, task) for file in files], as_json=as_json)
