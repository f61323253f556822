"""`batchd task new NAME --from FILE`: a commented task from a sample's columns, to be changed."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from shlex import quote

import click

from batchd.cli.asking import exit_of_refusal, folders_of, recipes_of
from batchd.cli.exits import Exit, complain
from batchd.cli.local import from_here, say_so
from batchd.cli.options import reads_settings
from batchd.cli.samples import beginning
from batchd.configuration import Loaded
from batchd.control.client import Refused, ask
from batchd.control.task_shapes import Draft
from batchd.control.tasks import in_words
from batchd.core.names import printable
from batchd.core.records import BadTable
from batchd.core.task_rules import name_fault
from batchd.spool.folders import make_drop_folder
from batchd.spool.placing import make_folder
from batchd.spool.recipes import ENDING


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
@click.option("--print", "prints", is_flag=True, help="Print it instead of writing the file.")
@reads_settings
def new(loaded: Loaded, name: str, sample: Path, prints: bool) -> int:
    """Write a commented task from the columns of a sample.

    The file is tasks/NAME.toml beside the configuration (the daemon's, where one runs), and NAME's
    drop folder is made where there is an inbox. It can be used as it is; the prompt is yours to
    write. Exits 6 where there is such a task already: nothing is overwritten. Where only somebody
    else may write there: --print, and have them put it in place.
    """
    if fault := name_fault(name):
        raise click.UsageError(f"{fault.message}; {fault.remedy}")
    try:
        draft, note = from_here(
            partial(_asked, loaded, name, sample), partial(_here, loaded, name, sample)
        )
    except (Refused, BadTable) as no:
        why = in_words(no) if isinstance(no, BadTable) else str(no)
        complain(f"{printable(str(sample))}: {why}")
        return exit_of_refusal(no) if isinstance(no, Refused) else Exit.FAILED
    say_so(note)
    if prints:
        click.echo(draft.text, nl=False)
        return Exit.OK
    return _written(loaded, draft, sample)


def _asked(loaded: Loaded, name: str, sample: Path) -> Draft:
    draft: Draft = ask(
        folders_of(loaded), "POST", "tasks", name, "draft", sent=beginning(sample),
        file=sample.name, kind=Draft,
    )  # fmt: skip
    return draft


def _here(loaded: Loaded, name: str, sample: Path) -> Draft:
    from batchd.control.task_draft import draft, sample_of  # late: the daemon has it loaded

    file = recipes_of(loaded).folder / f"{name}{ENDING}"
    text = draft(name, sample_of(sample), model=loaded.settings.defaults.model)
    return Draft(name=name, file=str(file), text=text)


def _written(loaded: Loaded, draft: Draft, sample: Path) -> int:
    """Write it as whoever asks: the daemon is not to be able to change what it goes by."""
    file = Path(draft.file)
    try:
        make_folder(file.parent)
        # A draft is nothing that a crash must not cut short, but nothing that is there is replaced.
        with file.open("x", encoding="utf-8") as made:
            made.write(draft.text)
    except FileExistsError:
        complain(f"{printable(str(file))} is there already, and stays as it is")
        return Exit.REFUSED
    except PermissionError:
        command = f"batchd task new {draft.name} --from {quote(str(sample))} --print"
        complain(f"{file} may not be written by you; have it put there: {command} | sudo tee"
                 f" {quote(str(file))}")  # fmt: skip
        return Exit.PERMISSION
    _say(loaded, draft.name, file, sample)
    return Exit.OK


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
