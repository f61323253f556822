"""`batchd task check NAME FILE`: what would become of a table, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import click

from batchd.cli.check import look
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.cli.tasks_known import task_called
from batchd.configuration import Loaded
from batchd.control.client import Refused
from batchd.control.tasks import BrokenTask, NoSuchTask, whole


@click.command(name="check")
@click.argument("name", metavar="NAME")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def check(loaded: Loaded, name: str, files: tuple[Path, ...], as_json: bool) -> int:
    """Say what would become of a table: the first request, tokens, cost, every mistake.

    By the task as the daemon has it, where one runs. The table is read here, where it lies, by what
    the daemon plans by, and nothing is sent. What lies in the task's folder already, batchd check
    reads so, too. Exits 1 when it would be rejected or the task is broken, 4 when there is no such
    task or file.
    """
    try:
        task = whole(task_called(name, loaded))
    except BrokenTask as broken:
        complain(str(broken))
        return Exit.FAILED
    except (NoSuchTask, Refused) as nobody:
        complain(str(nobody))
        return Exit.NOT_FOUND
    return look(loaded, [(file, task) for file in files], as_json=as_json)
