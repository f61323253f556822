"""`batchd task try NAME FILE`: a few rows asked for at once, to see what a task makes of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from batchd.cli.asking import recipes_of
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.cli.task_trial import SCHEMA, Cost, Row, Trial
from batchd.cli.tasks_known import BrokenTask, NoSuchTask, task_called
from batchd.configuration import Loaded, api_key, base_url
from batchd.core.errors import ConfigError
from batchd.core.names import printable
from batchd.core.problems import Problem
from batchd.core.records import BadTable
from batchd.core.templates import BadRecord

_MOST_ROWS = 100  #: more is what a batch is for, at half the price
_LABEL = 20
_MOST_NUMBERS = 50
_LOCAL = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_NO_KEY = "none-is-needed-here"  # a server on this machine may want none, and the SDK wants one


@click.command(name="try")
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--rows",
    type=click.IntRange(1, _MOST_ROWS),
    default=3,
    show_default=True,
    help="So many rows from the beginning.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def try_(loaded: Loaded, name: str, file: Path, rows: int, as_json: bool) -> int:
    """Ask for a few rows at once, and show the answers.

    Directly, not as a batch: it takes seconds, is paid at the full price, and no job comes of it.
    The answers are checked as a batch's are. Exits 1 when no row was answered, 3 when only some.
    """
    try:
        task = task_called(name, recipes_of(loaded))
        trial = Trial.of(file, task, loaded.settings, rows=rows)
    except (NoSuchTask, FileNotFoundError) as nobody:
        complain(
            str(nobody) if isinstance(nobody, NoSuchTask) else f"{file}: there is no such file"
        )
        return Exit.NOT_FOUND
    except BrokenTask as broken:
        complain(str(broken))
        return Exit.FAILED
    except (BadTable, BadRecord) as bad:
        complain(f"{printable(str(file))}: {_where(bad.problem)}{bad.problem.message}; {bad.problem.remedy}")  # fmt: skip
        return Exit.FAILED
    address = base_url(loaded.settings, os.environ)
    found: list[Row] = []
    for row in trial.ask(base_url=address, api_key=_key(loaded, address)):
        found.append(row)
        if not as_json:
            click.echo("\n".join(map(printable, _lines(row))))
    if as_json:
        click.echo(json.dumps(_told(name, file, found, trial.cost)))
    else:
        click.echo(_sum(found, trial.cost))
    good = sum(row.error is None for row in found)
    return Exit.OK if good == len(found) else Exit.PARTLY if good else Exit.FAILED


def _where(problem: Problem) -> str:
    return f"row {problem.row or problem.line}: " if problem.row or problem.line else ""


def _key(loaded: Loaded, address: str | None) -> str:
    """Return the key; a server on this machine, such as the sandbox, may do without one."""
    try:
        return api_key(loaded.settings, os.environ)
    except ConfigError:
        if address is None or not address.startswith(_LOCAL):
            raise
        return _NO_KEY


def _lines(row: Row) -> Iterator[str]:
    yield f"row {row.row:,}" + ("" if row.id == str(row.row) else f"  (id {row.id})")
    if row.error is not None:
        yield f"  {row.error['code']}: {row.error['message']}"
        if row.raw:
            yield f"  {'it said':<{_LABEL}}  {row.raw}"
        return
    for column, value in row.values.items():
        yield f"  {column:<{_LABEL}}  {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > _MOST_NUMBERS:  # a vector is no reading matter
        first = ", ".join(f"{number:.4g}" for number in value[:3])
        return f"[{first}, ...] ({len(value):,} numbers)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _sum(found: list[Row], cost: Cost) -> str:
    good = sum(row.error is None for row in found)
    tokens = f"{cost.input_tokens:,} tokens in, {cost.output_tokens:,} out"
    if cost.direct is None:
        paid = "its price is not known ([prices] takes your own)"
    else:
        paid = f"{cost.direct:.6f} USD, paid directly"
        paid += f"; as a batch {cost.batch:.6f}" if cost.batch is not None else ""
    return f"{good} of {len(found)} rows answered; {tokens}; {paid}"


def _told(name: str, file: Path, found: list[Row], cost: Cost) -> Mapping[str, Any]:
    return {
        "schema": SCHEMA,
        "task": name,
        "file": str(file),
        "rows": [row.as_dict() for row in found],
        "requests": cost.requests,
        "input_tokens": cost.input_tokens,
        "output_tokens": cost.output_tokens,
        "cost": cost.as_dict(),
    }
