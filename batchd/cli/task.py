"""`batchd task`: the recipes for tables. See which there are, make one, check it, try it out."""

from __future__ import annotations

import click

from batchd.cli.lazy import Lazy, LazyGroup

#: In the order in which somebody who makes one needs them.
COMMANDS = {
    "list": Lazy("batchd.cli.task_list", "List the tasks there are, and what is wrong with any."),
    "new": Lazy("batchd.cli.task_new", "Write a commented task from the columns of a sample."),
    "check": Lazy(
        "batchd.cli.task_check",
        "Say what would become of a table: the first request, tokens, cost, every mistake.",
    ),
    "try": Lazy("batchd.cli.task_try", "Ask for a few rows at once, and show the answers."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def task() -> None:
    """Make, check and try the recipes that turn tables into requests.

    A task is a file tasks/NAME.toml beside the configuration; what is dropped into inbox/NAME/
    goes by it.
    """
