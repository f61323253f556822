"""`batchd jobs`: the jobs there are and were, the youngest first."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from batchd.cli.asking import folders_of
from batchd.cli.local import from_ledger, say_so
from batchd.cli.options import reads_settings
from batchd.cli.times import moment
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.control.listing import MOST, STATES, USUAL, Filter, jobs_of
from batchd.core.names import printable
from batchd.core.words import duration


@click.command()
@click.option("--state", type=click.Choice(STATES), help="Only those in it, or that ended so.")
@click.option("--since", metavar="WHEN", help="Only those taken since: 2h, 3d, 2026-11-21.")
@click.option("--mine", is_flag=True, help="Only those whose file was yours.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=USUAL,
    show_default=True,
    help="At most so many.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def jobs(
    loaded: Loaded, state: str | None, since: str | None, mine: bool, limit: int, as_json: bool
) -> None:
    """List jobs, the youngest first: on their way, held, delivered."""
    folders, now = folders_of(loaded), time.time()
    asked = Filter(
        state=state,
        since=moment(since, now) if since else 0.0,
        owner=os.getuid() if mine else None,
        most=limit,
    )
    found, note = from_ledger(
        lambda: ask(
            folders,
            "GET",
            "jobs",
            state=asked.state,
            since=asked.since,
            owner=asked.owner,
            limit=asked.most,
        ),
        lambda reader: msgspec.to_builtins(jobs_of(asked, reader, source="the ledger")),
        folders,
    )
    if as_json:
        click.echo(json.dumps(found))
        return
    say_so(note)
    click.echo("\n".join(_lines(found, now)))


def _lines(found: dict[str, Any], now: float) -> Iterator[str]:
    if not found["jobs"]:
        yield "no jobs"
    for job in found["jobs"]:
        ago = f"{duration(now - moment(job['claimed'], now))} ago"
        count = f"{job['requests']:,}" if job["requests"] else "-"
        where = f"outbox/{job['folder']}" if job["folder"] else job["file"]
        yield printable(f"{job['job']}  {_word(job):<11}{count:>9}  {ago:<14}  {where}")
    if found["more"]:
        yield "and older ones: --limit shows more"


def _word(job: dict[str, Any]) -> str:
    """Where a job is, in one word."""
    if job["outcome"]:
        return str(job["outcome"])
    if job["hold"]:
        return "held"
    return "cancelling" if job["cancelled"] else str(job["state"])
