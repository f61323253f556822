"""`batchd task list`: the tasks there are, and what is wrong with any of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import click
import msgspec

from batchd.cli.asking import folders_of, recipes_of
from batchd.cli.exits import Exit
from batchd.cli.local import from_here, say_so
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.control.task_shapes import TaskList
from batchd.core.findings import COMMAND
from batchd.core.names import printable


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def list_(loaded: Loaded, as_json: bool) -> int:
    """List the tasks there are, and what is wrong with any.

    Those of the daemon, where one runs. Exits 1 where one of them has to be mended: its folder's
    files wait for that.
    """
    found, note = from_here(
        partial(ask, folders_of(loaded), "GET", "tasks", kind=TaskList), partial(_here, loaded)
    )
    say_so(note)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        for line in _lines(found):
            click.echo(printable(line))
    return Exit.FAILED if any(one.problems for one in found.tasks) else Exit.OK


def _here(loaded: Loaded) -> TaskList:
    from batchd.control.tasks import list_of

    return list_of(recipes_of(loaded), source=COMMAND)


def _lines(found: TaskList) -> Iterator[str]:
    if not found.tasks:
        yield f"there are no tasks in {found.folder}; batchd task new NAME --from FILE makes one"
        return
    wide = max(len(one.name) for one in found.tasks)
    for one in found.tasks:
        group = one.records_per_request or 1
        each = f", {group} records per request" if group > 1 else ""
        about = "BROKEN" if one.problems else f"{one.model}{each}"
        yield f"{one.name:<{wide}}  {about:<38}  {one.description}".rstrip()
        for problem in one.problems:
            yield f"{'':<{wide}}  {problem}"
