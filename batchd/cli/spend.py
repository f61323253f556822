"""`batchd spend`: what was spent, and how the budget stands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batchd.cli.local import SOURCE, as_said, from_ledger, say_so
from batchd.cli.options import reads_settings
from batchd.cli.times import moment
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.control.shapes import Budget, Spend, SpentOn
from batchd.control.spend import By, as_dict, spend_of
from batchd.core.names import printable
from batchd.core.words import money
from batchd.spool.folders import Folders

if TYPE_CHECKING:
    from batchd.control.ledger import Reader

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
    folders = Folders(loaded.settings.folders.root.resolve())

    def read(reader: Reader) -> dict[str, Any]:
        limits = loaded.settings.budget.limits
        found = spend_of(reader, by=By(by), since=day, limits=limits, now=now)
        return as_said(as_dict(found, source=SOURCE))

    found, note = from_ledger(
        lambda: dict(ask(folders, "GET", "spend", by=by, since=day or None)), read, folders
    )
    if as_json:
        click.echo(json.dumps(found))
        return
    say_so(note)
    told = msgspec.convert(found, Spend)
    for line in (*_table(told), "", *_budget(told.budget)):
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
    rows = [(found.by, *_HEADS), *(_cells(one.key or "(no task)", one) for one in found.lines)]
    if len(found.lines) > 1:
        rows.append(_cells("total", found.total))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield printable(_aligned(row, widths)).rstrip()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        f"{cell:<{width}}" if number == 0 else f"{cell:>{width}}"
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest))


def _cells(key: str, one: SpentOn) -> tuple[str, ...]:
    tokens = (one.input_tokens, one.cached_tokens, one.output_tokens, one.reasoning_tokens)
    counts = (f"{count:,}" for count in (one.requests, *tokens))
    unpriced = f"{one.unpriced:,}" if one.unpriced else "-"
    return (key, *counts, _sum(one.cost, one), _sum(one.saving, one), unpriced)


def _sum(dollars: float, one: SpentOn) -> str:
    return "unknown" if one.unpriced and one.unpriced == one.requests else money(dollars)


def _budget(budget: Budget) -> Iterator[str]:
    today, month = money(budget.spent_today), money(budget.spent_this_month)
    yield f"today       {today}{_of(budget.per_day)} USD (budget.per_day)"
    yield f"this month  {month}{_of(budget.per_month)} USD (budget.per_month)"
    count = budget.unpriced_under_way
    unknown = f", and {count:,} requests without a price" if count else ""
    yield f"under way   {money(budget.under_way)} USD expected{unknown}"


def _of(limit: float | None) -> str:
    return " of unlimited" if limit is None else f" of {money(limit)}"
