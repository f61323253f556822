"""`batchd task list`: the tasks there are, and what is wrong with any of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from batchd.cli.asking import recipes_of
from batchd.cli.exits import Exit
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.core.names import printable
from batchd.core.tasks import Task
from batchd.spool.recipes import Broken, Recipes

SCHEMA = 1


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def list_(loaded: Loaded, as_json: bool) -> int:
    """List the tasks there are, and what is wrong with any.

    Exits 1 where one of them has to be mended: its folder's files wait for that.
    """
    recipes = recipes_of(loaded)
    found = [_told(name, recipes) for name in recipes.names()]
    if as_json:
        folder = str(recipes.folder)
        click.echo(json.dumps({"schema": SCHEMA, "folder": folder, "tasks": found}))
    else:
        for line in _lines(found, recipes):
            click.echo(printable(line))
    return Exit.FAILED if any(one["problems"] for one in found) else Exit.OK


def _told(name: str, recipes: Recipes) -> dict[str, Any]:
    task = recipes.get(name)
    problems = [str(one) for one in task.problems] if isinstance(task, Broken) else []
    whole = task if isinstance(task, Task) else None
    return {
        "name": name,
        "description": whole.description if whole else "",
        "endpoint": whole.endpoint if whole else None,
        "model": whole.model if whole else None,
        "records_per_request": whole.records_per_request if whole else None,
        "problems": problems,
    }


def _lines(found: list[dict[str, Any]], recipes: Recipes) -> Iterator[str]:
    if not found:
        yield f"there are no tasks in {recipes.folder}; batchd task new NAME --from FILE makes one"
        return
    wide = max(len(one["name"]) for one in found)
    for one in found:
        group = one["records_per_request"] or 1
        each = f", {group} records per request" if group > 1 else ""
        about = "BROKEN" if one["problems"] else f"{one['model']}{each}"
        yield f"{one['name']:<{wide}}  {about:<38}  {one['description']}".rstrip()
        for problem in one["problems"]:
            yield f"{'':<{wide}}  {problem}"
