"""`batchd check FILE...`: what would become of a file, before it is dropped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from batchd.cli.exits import Exit, complain
from batchd.cli.local import from_ledger
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.checking import (
    CUT_BY,
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
from batchd.control.client import Refused, ask
from batchd.control.messages import Standing
from batchd.core.errors import ConfigError
from batchd.core.names import printable
from batchd.core.problems import CAUTIONS, Problem
from batchd.core.usage import Charge
from batchd.core.words import size
from batchd.meters.prices import Prices
from batchd.meters.tokens import counter
from batchd.settings import Settings
from batchd.spool.examining import Examined
from batchd.spool.folders import Folders

_LABEL = 12
_INDENT = "  " + " " * _LABEL
_WOULD = {
    Fate.ACCEPTED: "would be accepted",
    Fate.HELD: "would be held by the budget",
    Fate.REJECTED: "would be rejected",
}
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

    Every line is read by the rules that the daemon has, wherever the file lies, and nothing is
    sent. Each file is held against the budget by itself, with what is spent already. Exits 1 when a file would be rejected, 4 when one is not there.
    """
    settings, holds = _as_known(loaded.settings)
    prices = Prices(settings.prices)
    count = counter(settings.batches.count_tokens)
    results = []
    for file in files:
        results.append(look_at(file, settings, prices=prices, count=count, holds=holds))
        if not as_json:
            _show(results, settings)
    if as_json:
        files_as_dicts = [as_dict(checked) for checked in results]
        click.echo(json.dumps({"schema": SCHEMA, "prices": prices.source, "files": files_as_dicts}))
    fates = {checked.fate for checked in results}
    return next((code for fate, code in _WORST if fate in fates), Exit.OK)


def _as_known(settings: Settings) -> tuple[Settings, Holds]:
    """Ask the daemon, else the ledger, where this user may. Neither is needed."""
    folders = Folders(settings.folders.root.resolve())
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


def _show(results: Sequence[Checked], settings: Settings) -> None:
    """The last of them, at once: the next may take a while."""
    if len(results) > 1:
        click.echo()
    for line in _lines(results[-1], settings):
        click.echo(printable(line))


def _lines(checked: Checked, settings: Settings) -> Iterator[str]:
    found = checked.examined
    if found is None:
        yield f"{checked.path}: {checked.trouble}"
        return
    yield f"{checked.path} ({size(found.size)}): {_WOULD[checked.fate]}"
    if checked.note:
        yield _line("name", f"left alone in the inbox: {checked.note}")
    if found.inflated is not None and not found.problems.total:
        yield _line("inflated", size(found.inflated))
    yield from _requests(checked)
    if checked.fate is not Fate.REJECTED:
        yield from _plan(checked, found, settings)
    yield from _repairs(found)
    yield from _warnings(found)
    yield from _problems(found)


def _line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _requests(checked: Checked) -> Iterator[str]:
    for number, kind in enumerate(checked.kinds):
        texts = f", {kind.inputs:,} texts" if kind.inputs else ""
        yield _line(
            "" if number else "requests",
            f"{kind.requests:,} to {kind.model}, {kind.endpoint}{texts}",
        )


def _plan(checked: Checked, found: Examined, settings: Settings) -> Iterator[str]:
    yield _line("batches", f"{len(found.shards):,}: {_why(checked, found)}")
    yield _line("input", f"{checked.input_tokens:,} tokens, {_how_counted(found)}")
    yield _line("output", _output(checked, found, settings))
    yield _line("cost", _cost(checked.cost))
    for sentence in checked.budget:
        yield _line("budget", f"{sentence}; held until batchd release JOB")


def _why(checked: Checked, found: Examined) -> str:
    kinds = len(checked.kinds)
    one = "one model, one endpoint, within all limits"
    several = f"one for each of {kinds} combinations of model and endpoint"
    reasons = [several if kinds > 1 else one if not found.cuts else "one model, one endpoint"]
    reasons += [
        f"cut {'once' if times == 1 else f'{times:,} times'} by {CUT_BY[limit]}"
        for limit, times in found.cuts.items()
    ]
    as_it_is = "as it lies" if found.inflated is None else "inflated, as it is"
    reasons += [f"the file travels {as_it_is}"] if found.verbatim else []
    return "; ".join(reasons)


def _how_counted(found: Examined) -> str:
    if not found.is_counted:
        return "estimated: a quarter of the bytes (batches.count_tokens)"
    if found.exact == found.requests:
        return "exact: counted with the model's vocabulary"
    rest = found.requests - found.exact
    return f"estimated: {rest:,} requests have more than texts, or a model of another vocabulary"


def _output(checked: Checked, found: Examined, settings: Settings) -> str:
    unlimited = found.warnings.counts().get("no_output_limit", 0)
    each = f"budget.output_tokens = {settings.budget.output_tokens:,} for each of {unlimited:,}"
    whose = f", with {each} without a limit" if unlimited else ""
    return f"{checked.output_tokens:,} tokens expected{whose}"


def _cost(cost: Charge) -> str:
    if cost.batch is None:
        return "unknown: not every model has a price ([prices] takes your own)"
    if cost.direct is None:
        return f"{_dollars(cost.batch)} USD expected; what direct calls cost is not known"
    saving = _dollars(cost.direct - cost.batch)
    return f"{_dollars(cost.batch)} USD expected; {saving} less than direct calls"


def _dollars(cost: float) -> str:
    return "under 0.0001" if 0 < cost < 0.0001 else f"{cost:,.4f}"


def _repairs(found: Examined) -> Iterator[str]:
    repairs = found.repairs
    for count, what in (
        (repairs.bom, "the byte order mark is left out"),
        (repairs.crlf_lines, f"{repairs.crlf_lines:,} lines end with CR and LF; LF is sent"),
        (repairs.blank_lines, f"{repairs.blank_lines:,} blank lines are left out"),
    ):
        if count:
            yield _line("mended", what)


def _warnings(found: Examined) -> Iterator[str]:
    for code, warned in found.warnings.by_code.items():
        lines = ", ".join(f"{line:,}" for line in warned.lines)
        more = ", ..." if warned.total > len(warned.lines) else ""
        where = f"line{'s' if warned.total > 1 else ''} {lines}{more}"
        detail = f" ({warned.detail})" if warned.detail else ""
        yield _line("warning", f"{code}, {warned.total:,} of {found.requests:,} ({where})")
        yield f"{_INDENT}{CAUTIONS[code].message}{detail}. {CAUTIONS[code].remedy}"


def _problems(found: Examined) -> Iterator[str]:
    problems = found.problems
    if not problems.total:
        return
    counted = f"{problems.total:,}" if problems.total > 1 else "one"
    yield _line("errors", f"{counted} in all; nothing of the file would be sent")
    for problem in problems.listed:
        yield from _problem(problem)
    if problems.total > len(problems.listed):
        yield f"{_INDENT}... and {problems.total - len(problems.listed):,} more"


def _problem(problem: Problem) -> Iterator[str]:
    where = f"line {problem.line:,}: " if problem.line else ""
    yield _line("", f"{where}{problem.message}  [{problem.code}]")
    if problem.excerpt:
        yield f"{_INDENT}    {problem.excerpt}"
    yield f"{_INDENT}    {problem.remedy}"
