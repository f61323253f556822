"""`batchd status`: all of a root on one screen."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.ledger import reading
from batchd.control.presence import Presence, presence
from batchd.control.status import Status, status_of
from batchd.control.views import status_as_dict
from batchd.core.budget import Limits, Spending
from batchd.core.names import printable
from batchd.core.reasons import Standing
from batchd.core.words import duration, money
from batchd.spool.folders import Folders

_LABEL = 13
_MOST_BATCHES, _MOST_WAITS = 6, 8  # with all else, 24 lines at the most


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def status(loaded: Loaded, as_json: bool) -> None:
    """Show the daemon, the inbox, the jobs, the batches, and what waits for what."""
    folders, now = Folders(loaded.settings.folders.root.resolve()), time.time()
    with reading(folders.database) as reader:
        found = status_of(
            folders, loaded.settings, reader=reader, daemon=presence(folders), now=now
        )
    if as_json:
        click.echo(json.dumps(status_as_dict(found, folders)))
        return
    # Cut on a terminal only, where a line that wraps would push others off the screen.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in _lines(found, folders, now):
        click.echo(line if width is None or len(line) <= width else f"{line[: width - 3]}...")


def _lines(found: Status, folders: Folders, now: float) -> Iterator[str]:
    yield _line("daemon", f"{_daemon(found.daemon, now)}; root {folders.root}")
    if found.daemon.is_running:
        yield _line("watcher", found.daemon.watcher)
    if found.room.pauses:
        yield _line("paused", _paused(found))
    yield _line("inbox", _inbox(found))
    yield _line("jobs", _jobs(found))
    yield from _batches(found, now)
    yield from _waits(found)
    if found.spending is not None:
        yield _line("spent today", _spent(found.spending, found.limits))
    yield _line("last problem", _problem(found.problem, now))


def _line(label: str, text: str) -> str:
    return printable(f"{label:<{_LABEL}}{text}")


def _daemon(daemon: Presence, now: float) -> str:
    if not daemon.is_running:
        return "not running (start it: batchd run); what follows is from the ledger, read only"
    since = f" for {duration(now - daemon.since)}" if daemon.since else ""
    return f"running{since}, process {daemon.pid or 'unknown'}, batchd {daemon.version}"


def _paused(found: Status) -> str:
    said = (f"{what}, by {by}" for what, by in found.room.pauses.items())
    return f"{'; '.join(said)}; batchd resume goes on"


def _inbox(found: Status) -> str:
    if found.inbox_trouble:
        return f"cannot be listed: {found.inbox_trouble}"
    return "; ".join(
        f"{_total(codes)} {standing}{_in_brackets(codes)}"
        for standing, codes in found.inbox.items()
    )


def _jobs(found: Status) -> str:
    ways = f"{_total(found.jobs)} on their way{_in_brackets(found.jobs)}"
    return f"{ways}; {_total(found.ended)} ended{_in_brackets(found.ended)}"


def _total(counts: Mapping[Any, int]) -> str:
    return f"{sum(counts.values()):,}"


def _in_brackets(counts: Mapping[Any, int]) -> str:
    return (
        f" ({', '.join(f'{count:,} {name}' for name, count in counts.items())})" if counts else ""
    )


def _batches(found: Status, now: float) -> Iterator[str]:
    batches, room = found.batches, found.room
    oldest = f", the oldest for {duration(now - batches[0].opened_at)}" if batches else ""
    yield _line("batches", f"{len(batches):,} open of {room.batches.max_open:,} allowed{oldest}")
    for batch in batches[:_MOST_BATCHES]:
        done = f"{batch.completed:,}/{batch.requests:,}"
        age = duration(now - batch.opened_at)
        yield _line("", f"{batch.batch}  {batch.status}  {done}  {age}  {batch.shard} {batch.name}")
    if len(batches) > _MOST_BATCHES:
        yield _line("", f"and {len(batches) - _MOST_BATCHES:,} younger ones")


def _waits(found: Status) -> Iterator[str]:
    waits = sorted(found.waits, key=lambda one: one.standing is not Standing.HELD)
    for number, one in enumerate(waits[:_MOST_WAITS]):
        text = f"{one.count:,} {one.code}; {one.example}: {one.sentence}"
        yield _line("waits" if number == 0 else "", text)
    if len(waits) > _MOST_WAITS:
        yield _line("", f"and {len(waits) - _MOST_WAITS} more reasons: batchd status --json")


def _spent(spending: Spending, limits: Limits) -> str:
    most = "" if limits.per_day is None else f" of {money(limits.per_day)}"
    under_way = f"; {money(spending.under_way)} expected of what is under way"
    return f"{money(spending.today)}{most} USD{under_way if spending.under_way else ''}"


def _problem(problem: Mapping[str, object] | None, now: float) -> str:
    if problem is None:
        return "none in the log"
    said = problem.get("text") or problem.get("reason") or problem.get("error") or ""
    about = problem.get("shard") or problem.get("job") or problem.get("subject") or ""
    about = f" ({about})" if about else ""
    return f"{_ago(problem.get('ts'), now)}{problem.get('event')}{about}: {said}".rstrip(": ")


def _ago(ts: object, now: float) -> str:
    try:
        return f"{duration(now - datetime.fromisoformat(str(ts)).timestamp())} ago, "
    except ValueError:
        return ""
