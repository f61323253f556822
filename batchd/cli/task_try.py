"""`batchd task try NAME FILE`: a few rows asked for at once, to see what a task makes of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from batchd.cli.asking import exit_of_refusal, folders_of
from batchd.cli.exits import Exit, complain
from batchd.cli.house import must_answer
from batchd.cli.options import reads_settings
from batchd.cli.samples import beginning
from batchd.cli.tasks_known import task_called
from batchd.configuration import Loaded, api_key, base_url
from batchd.control.client import NotListening, Refused, TooOld, ask_lines
from batchd.control.messages import MOST_ROWS, USUAL_ROWS
from batchd.control.task_shapes import TaskTry, Tried, TriedRow, TriedSum
from batchd.control.tasks import BrokenTask, NoSuchTask, in_words, whole
from batchd.core.errors import ConfigError
from batchd.core.findings import COMMAND, DAEMON
from batchd.core.names import printable
from batchd.core.records import BadTable
from batchd.core.tasks import Task
from batchd.core.templates import BadRecord

SCHEMA = 1
_LABEL = 20
_MOST_NUMBERS = 50
_LOCAL = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_NO_KEY = "none-is-needed-here"  # a server on this machine may want none, and the SDK wants one
_GONE = "the daemon went away before the end; what was answered is paid, and in batchd spend"
_LONGEST = 720.0  #: seconds for a row: the daemon gives the provider ten minutes


@click.command(name="try")
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--rows",
    type=click.IntRange(1, MOST_ROWS),
    default=USUAL_ROWS,
    show_default=True,
    help="So many rows from the beginning.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def try_(loaded: Loaded, name: str, file: Path, rows: int, as_json: bool) -> int:
    """Ask for a few rows at once, and show the answers.

    Directly, not as a batch: it takes seconds, is paid at the full price, and no job comes of it.
    Where a daemon runs it asks, with its key: what it costs is in `batchd spend`, and has to fit
    the budget. The answers are checked as a batch's are. Exits 1 when no row was answered, 3 when
    only some, 6 where the budget or a pause forbids it.
    """
    show = Shown(as_json=as_json)
    try:
        task = whole(task_called(name, loaded))
        source = _tried(loaded, task, file, rows, show)
    except (NoSuchTask, FileNotFoundError) as nobody:
        is_task = isinstance(nobody, NoSuchTask)
        complain(str(nobody) if is_task else f"{file}: there is no such file")
        return Exit.NOT_FOUND
    except BrokenTask as broken:
        complain(str(broken))
        return Exit.FAILED
    except (BadTable, BadRecord) as bad:
        complain(f"{printable(str(file))}: {in_words(bad)}")
        return Exit.FAILED
    except NotListening as gone:
        complain(str(gone) if not show.rows else _GONE)
        return Exit.TRY_AGAIN
    except Refused as refused:
        about = f"{printable(str(file))}: " if refused.code == "unusable" else ""
        complain(f"{about}{refused}")
        return exit_of_refusal(refused)
    return show.end(name, file, source)


class Shown:
    """What came so far, told as it comes, or at the end as one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.rows: list[TriedRow] = []
        self.sum: TriedSum | None = None

    def take(self, tried: Tried) -> None:
        """Show one line of a trial."""
        if tried.row is not None:
            self.rows.append(tried.row)
            if not self._as_json:
                click.echo("\n".join(map(printable, _lines(tried.row))))
        self.sum = tried.sum or self.sum

    def end(self, name: str, file: Path, source: str) -> int:
        """Say what it took, and how it went."""
        if self.sum is None:
            complain(_GONE)
            return Exit.TRY_AGAIN
        if self._as_json:
            click.echo(json.dumps(self._told(name, file, source, self.sum)))
        else:
            click.echo(_sum(self.rows, self.sum))
        good = sum(row.ok for row in self.rows)
        return Exit.OK if good == len(self.rows) else Exit.PARTLY if good else Exit.FAILED

    def _told(self, name: str, file: Path, source: str, took: TriedSum) -> object:
        told = TaskTry(
            schema=SCHEMA,
            task=name,
            file=str(file),
            rows=self.rows,
            requests=took.requests,
            input_tokens=took.input_tokens,
            output_tokens=took.output_tokens,
            cost=took.cost,
            source=source,
        )
        return msgspec.to_builtins(told)


def _tried(loaded: Loaded, task: Task, file: Path, rows: int, show: Shown) -> str:
    """Have the daemon ask; else ask with one's own key. Return who did."""
    try:
        _by_daemon(loaded, task, file, rows, show)
    except (NotListening, PermissionError) as error:
        # Once something was asked it is paid, and not asked again by another way.
        if show.rows or (isinstance(error, NotListening) and error.is_running
                         and not isinstance(error, TooOld)):  # fmt: skip
            raise
        why = "is not running" if isinstance(error, NotListening) else "may not be asked by you"
        why = "is older than this command" if isinstance(error, TooOld) else why
        _here(loaded, task, file, rows, show, why)
        return COMMAND
    return DAEMON


def _by_daemon(loaded: Loaded, task: Task, file: Path, rows: int, show: Shown) -> None:
    must_answer(folders_of(loaded))
    lines = ask_lines(
        folders_of(loaded), "POST", "tasks", task.name, "try", sent=beginning(file),
        file=file.name, rows=rows, kind=Tried, seconds=_LONGEST,
    )  # fmt: skip
    for line in lines:
        if line.refusal is not None:
            raise Refused(line.refusal)
        show.take(line)


def _here(loaded: Loaded, task: Task, file: Path, rows: int, show: Shown, why: str) -> None:
    from batchd.cli.own_trial import rows_of  # late: the SDK is slow to import

    asked = rows_of(file, task, loaded.settings, rows=rows)
    address = base_url(loaded.settings, os.environ)
    key = _key(loaded, address)
    complain(f"the daemon {why}: this is asked with your own key, and not counted by batchd spend")
    for tried in asked(base_url=address, api_key=key):
        show.take(tried)


def _key(loaded: Loaded, address: str | None) -> str:
    """Return the key; a server on this machine, such as the sandbox, may do without one."""
    try:
        return api_key(loaded.settings, os.environ)
    except ConfigError:
        if address is None or not address.startswith(_LOCAL):
            raise
        return _NO_KEY


def _lines(row: TriedRow) -> Iterator[str]:
    yield f"row {row.row:,}" + ("" if row.id == str(row.row) else f"  (id {row.id})")
    if row.error is not None:
        yield f"  {row.error.code}: {row.error.message}"
        if row.raw:
            yield f"  {'it said':<{_LABEL}}  {row.raw}"
        return
    for column, value in (row.values or {}).items():
        yield f"  {column:<{_LABEL}}  {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > _MOST_NUMBERS:  # a vector is no reading matter
        first = ", ".join(f"{number:.4g}" for number in value[:3])
        return f"[{first}, ...] ({len(value):,} numbers)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _sum(found: list[TriedRow], took: TriedSum) -> str:
    good = sum(row.ok for row in found)
    tokens = f"{took.input_tokens:,} tokens in, {took.output_tokens:,} out"
    if took.cost is None:
        paid = "its price is not known ([prices] takes your own)"
    else:
        paid = f"{took.cost.amount:.6f} USD, paid directly"
        as_batch = took.cost.as_batch
        paid += f"; as a batch {as_batch:.6f}" if as_batch is not None else ""
    return f"{good} of {len(found)} rows answered; {tokens}; {paid}"
