"""`batchd show JOB`: everything that is known of a job, ending with what happened to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from batchd.cli.asking import folders_of, recipes_of
from batchd.cli.completing import job_ids
from batchd.cli.exits import Exit, complain
from batchd.cli.local import from_ledger, say_so
from batchd.cli.options import reads_settings
from batchd.cli.times import clock, epoch
from batchd.configuration import Loaded
from batchd.control.client import Refused, ask
from batchd.control.ledger import Reader
from batchd.control.places import NOWHERE, NoSuchJob, job_meant
from batchd.control.presence import presence
from batchd.control.show import shown_job
from batchd.control.why import Ambiguous, Question
from batchd.core.names import printable
from batchd.core.receipt import (
    errors_in_words,
    noticed_in_words,
    rfc3339,
    soft_in_words,
    warnings_in_words,
)
from batchd.core.words import duration, size
from batchd.spool.folders import Folders

_LABEL = 12
_LONGEST = 60  #: characters of a fact: what is longer is whole in --json
_UNTOLD = ("job", "shard", "signature", "join", "changed")  # said already, or for programs


@click.command()
@click.argument("job", metavar="JOB", shell_complete=job_ids)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def show(loaded: Loaded, job: str, as_json: bool) -> int:
    """Show everything that is known of a job, ending with what happened to it.

    JOB is an id or its beginning, or the job's folder.
    """
    folders = folders_of(loaded)
    try:
        found, note = from_ledger(
            lambda: ask(folders, "GET", "jobs", job_meant(job)),
            lambda reader: msgspec.to_builtins(_read(job, reader, folders, loaded)),
            folders,
        )
    except (Refused, NoSuchJob, Ambiguous) as no:
        complain(str(no))
        is_usage = isinstance(no, Ambiguous) or getattr(no, "code", "") == "ambiguous"
        is_refused = getattr(no, "code", "") == "refused"
        return Exit.REFUSED if is_refused else Exit.USAGE if is_usage else Exit.NOT_FOUND
    if as_json:
        click.echo(json.dumps(found))
        return Exit.OK
    say_so(note)
    for line in _lines(found):
        click.echo(printable(line))
    return Exit.OK


def _read(job: str, reader: Reader, folders: Folders, loaded: Loaded) -> Any:
    question = Question(
        word=job,
        place=NOWHERE,
        folders=folders,
        settings=loaded.settings,
        recipes=recipes_of(loaded),
        reader=reader,
        daemon=presence(folders),
        now=time.time(),
    )
    return shown_job(question, source="the ledger")


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    for label, text in _head(found):
        yield f"{label:<{_LABEL}}{text}"
    for title, lines in (
        ("batches", map(_batch, found["batches"])),
        ("errors", errors_in_words(found["errors"] or {})),
        ("not plain answers", soft_in_words(found["soft"] or {})),
        ("noticed", noticed_in_words(found)),
        ("warnings", warnings_in_words(found["warnings"] or {}, found["job"].get("task"))),
        ("timeline", map(_told, _folded(found["timeline"]))),
    ):
        yield from _section(title, lines)


def _section(title: str, lines: Any) -> Iterator[str]:
    shown = list(lines)
    if shown:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in shown)


def _head(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    job = found["job"]
    yield "job", job["job"]
    yield "file", f"{job['file']}, {size(job['bytes'])}, of user {job['owner']}"
    if task := job.get("task"):  # an older daemon's word has none
        yield "task", task
    yield "state", _state(found)
    yield "why", f"{found['code']}: {found['sentence']}"
    if job["requests"]:
        rounds = f", round {found['round']}" if found["round"] > 1 else ""
        done = f"; {found['answered']:,} answered, {found['failed']:,} failed so far"
        yield "records" if task else "requests", f"{job['requests']:,}{rounds}{done}"
    yield "cost", _cost(found)
    if found["held"]:
        yield "held", found["held"]
    if job["cancelled"]:
        yield "cancelled", f"{clock(job['cancelled'])} ({found['cancelled_by']})"
    if found["joined"]:
        yield "joined", f"job {found['joined']}, which has the same content"
    if found["rejected"]:
        yield "rejected", found["rejected"]
    yield "taken", f"{clock(job['claimed'])}, {_ago(job['claimed'])}"
    if job["delivered"]:
        yield "delivered", f"{clock(job['delivered'])} as outbox/{job['folder']}"


def _ago(at: str) -> str:
    return f"{duration(time.time() - epoch(at))} ago"


def _state(found: Mapping[str, Any]) -> str:
    job = found["job"]
    outcome = f" ({job['outcome']})" if job["outcome"] else ""
    held = ", held" if job["hold"] and job["state"] != "held" else ""
    cancelled = ", cancelled" if job["cancelled"] and not job["outcome"] else ""
    return f"{job['state']}{outcome}{held}{cancelled}"


def _cost(found: Mapping[str, Any]) -> str:
    spent, unpriced = found["spent"], found["unpriced"]
    so_far = "unknown" if spent is None else f"{spent:.4f} USD"
    more = f" and {unpriced:,} answers of unknown price" if unpriced and spent is not None else ""
    estimate = found["estimate"]
    expected = f" (estimated: {estimate:.4f} USD)" if estimate is not None else ""
    return f"{so_far}{more} so far{expected}"


def _batch(batch: Mapping[str, Any]) -> str:
    name = batch["batch"] or "(no batch)"
    status = batch["status"] or batch["state"]
    told = f"{batch['shard']}  {name}  {status}  {batch['model']} {batch['endpoint']}"
    done = f"  {batch['completed']:,}/{batch['requests']:,}"
    if batch["answered"] is not None:
        # An older daemon's word has no records.
        rows = batch.get("records") or batch["requests"]
        done = f"  {batch['answered']:,} of {rows:,} answered"
        done += f", {batch['failed']:,} failed" if batch["failed"] else ""
        done += f", {batch['again']:,} tried again" if batch["again"] else ""
    reason = f"  {batch['reason']}: {batch['text'] or ''}" if batch["reason"] else ""
    errors = "".join(f"  {error['code']}: {error['message']}" for error in batch["errors"][:1])
    return f"{told}{done}{reason}{errors}"


@dataclass(slots=True)
class _Told:
    """A fact; with those after it of the same shard that say the same."""

    first: Mapping[str, Any]
    last: Mapping[str, Any]
    times: int = 1


def _folded(timeline: Iterable[Mapping[str, Any]]) -> list[_Told]:
    """A provider that is down for a night says so once a minute: that is one line, not five hundred."""
    told: list[_Told] = []
    last: dict[str | None, _Told] = {}
    for fact in timeline:
        shard = fact["shard"]
        run = last.get(shard)
        if run is not None and _same(run.first, fact):
            run.last, run.times = fact, run.times + 1
        else:
            last[shard] = _Told(fact, fact)
            told.append(last[shard])
    return told


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    reason = other["facts"].get("reason")
    return (
        reason is not None
        and one["event"] == other["event"]
        and one["facts"].get("reason") == reason
    )


def _told(told: _Told) -> str:
    line = _fact({**told.last, "at": told.first["at"]})
    return f"{line}  x{told.times} until {clock(told.last['at'])}" if told.times > 1 else line


def _fact(fact: Mapping[str, Any]) -> str:
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in fact["event"]).strip()
    told = {name: value for name, value in fact["facts"].items() if name not in _UNTOLD}
    facts = "  ".join(
        f"{name}={_short(name, value)}" for name, value in told.items() if value != ""
    )
    about = f"{fact['shard']}  " if fact["shard"] else ""
    return f"{clock(fact['at'])}  {about}{words}  {facts}".rstrip()


def _short(name: str, value: object) -> str:
    if name.endswith("_at") and isinstance(value, int | float):
        return clock(rfc3339(value))
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
