"""`batchd task new NAME --from FILE`: a commented task from a sample's columns, to be changed."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from shlex import quote

import click

from batchd.cli.asking import folders_of, recipes_of
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.cli.task_draft import Sample, draft
from batchd.configuration import Loaded
from batchd.core.names import printable
from batchd.core.records import BadTable, Record
from batchd.core.task_rules import name_fault
from batchd.core.tasks import TaskInput
from batchd.spool.folders import make_drop_folder
from batchd.spool.placing import make_folder
from batchd.spool.recipes import ENDING
from batchd.tables import find_layout, records_of

_LOOKED_AT = 200  #: records: enough to see which column tells them apart


@click.command(name="new")
@click.argument("name", metavar="NAME")
@click.option(
    "--from",
    "sample",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A table whose columns the prompt is to have: CSV, TSV, JSON, JSON Lines, text, ...",
)
@reads_settings
def new(loaded: Loaded, name: str, sample: Path) -> int:
    """Write a commented task from the columns of a sample.

    The file is tasks/NAME.toml beside the configuration, and NAME's drop folder is made where
    there is an inbox. It can be used as it is; the prompt is yours to write. Exits 6 where there
    is such a task already: nothing is overwritten.
    """
    if fault := name_fault(name):
        raise click.UsageError(f"{fault.message}; {fault.remedy}")
    file = recipes_of(loaded).folder / f"{name}{ENDING}"
    if os.path.lexists(file):
        complain(f"{printable(str(file))} is there already, and stays as it is")
        return Exit.REFUSED
    try:
        seen = _sample(sample)
    except BadTable as bad:
        complain(f"{printable(str(sample))}: {bad.problem.message}; {bad.problem.remedy}")
        return Exit.FAILED
    make_folder(file.parent)
    # A draft is nothing that a crash must not cut short, but nothing that is there is replaced.
    with file.open("x", encoding="utf-8") as made:
        made.write(draft(name, seen, model=loaded.settings.defaults.model))
    _say(loaded, name, file, sample)
    return Exit.OK


def _sample(path: Path) -> Sample:
    layout = find_layout(path, TaskInput(), name=path.name, pause=lambda: None)
    records = list(islice(records_of(path, layout, pause=lambda: None), _LOOKED_AT))
    return Sample(path.name, layout.columns or _members(records), records)


def _members(records: list[Record]) -> tuple[str, ...]:
    """Objects have no header: the members that any of them has, in the order they are met."""
    return tuple(dict.fromkeys(name for record in records for name in record.fields))


def _say(loaded: Loaded, name: str, file: Path, sample: Path) -> None:
    click.echo(f"made   {printable(str(file))}")
    inbox = folders_of(loaded).inbox
    folder = inbox / name
    if inbox.is_dir() and not os.path.lexists(folder):
        make_drop_folder(folder)
        click.echo(f"made   {printable(str(folder))}  (its drop folder)")
    where = quote(str(sample))
    click.echo(f"write its prompt, then: batchd task check {name} {where}")
    click.echo(f"                        batchd task try {name} {where} --rows 3")
