"""`batchd spend`: what was spent, and how the budget stands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from batchd.cli.options import reads_settings
from batchd.cli.times import moment
from batchd.configuration import Loaded
from batchd.control.ledger import reading
from batchd.control.spend import By, Spend, Spent, as_dict, spend_of
from batchd.core.names import printable
from batchd.core.words import money
from batchd.spool.folders import Folders

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_HEADS = ("requests", "in", "cached", "out", "reasoning", "cost USD", "saved USD", "unpriced")


@click.command()
@click.option(
    "--by",
    type=click.Choice([str(one) for one in By]),
    default=str(By.DAY),
    show_default=True,
    help="What is added up in one line.",
)
@click.option("--since", metavar="WHEN", help="Only days since: 2026-11-21, 30d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def spend(loaded: Loaded, by: str, since: str | None, as_json: bool) -> None:
    """Say what was spent, by day, month, model or task, and how the budget stands.

    Days and months are those of UTC, as on the bill; an answer counts on the day it was fetched.
    """
    now = time.time()
    day = _day(since, now) if since else ""
    with reading(Folders(loaded.settings.folders.root.resolve()).database) as reader:
        limits = loaded.settings.budget.limits
        found = spend_of(reader, by=By(by), since=day, limits=limits, now=now)
    if as_json:
        click.echo(json.dumps(as_dict(found)))
        return
    for line in (*_table(found), "", *_budget(found)):
        click.echo(line)


def _day(text: str, now: float) -> str:
    if not _DAY.fullmatch(text):
        return datetime.fromtimestamp(moment(text, now), UTC).date().isoformat()
    moment(text, now)  # that there is such a day
    return text  # not this machine's midnight, which is on another day of UTC


def _table(found: Spend) -> Iterator[str]:
    if not found.lines:
        yield "nothing was spent"
        return
    lines = [*found.lines, found.total] if len(found.lines) > 1 else found.lines
    rows = [(str(found.by), *_HEADS), *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield printable(_aligned(row, widths)).rstrip()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        f"{cell:<{width}}" if number == 0 else f"{cell:>{width}}"
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest))


def _cells(one: Spent) -> tuple[str, ...]:
    tokens = (one.input_tokens, one.cached_tokens, one.output_tokens, one.reasoning_tokens)
    counts = (f"{count:,}" for count in (one.requests, *tokens))
    unpriced = f"{one.unpriced:,}" if one.unpriced else "-"
    return (one.key or "(no task)", *counts, _sum(one.cost, one), _sum(one.saving, one), unpriced)


def _sum(dollars: float, one: Spent) -> str:
    return "unknown" if one.unpriced and one.unpriced == one.requests else money(dollars)


def _budget(found: Spend) -> Iterator[str]:
    spending, limits = found.spending, found.limits
    yield f"today       {money(spending.today)}{_of(limits.per_day)} USD (budget.per_day)"
    yield f"this month  {money(spending.month)}{_of(limits.per_month)} USD (budget.per_month)"
    unknown = f", and {spending.unknown:,} requests without a price" if spending.unknown else ""
    yield f"under way   {money(spending.under_way)} USD expected{unknown}"


def _of(limit: float | None) -> str:
    return " of unlimited" if limit is None else f" of {money(limit)}"
