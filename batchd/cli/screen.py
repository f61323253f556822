"""One screen of `batchd status`: which lines, in which order, and how many of each."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchd.cli.times import epoch
from batchd.control.shapes import Budget, Daemon, HealthItem, Status
from batchd.core.names import printable
from batchd.core.reasons import Standing
from batchd.core.words import duration, money

LABEL = 13  #: columns
LINES = 23  #: of a terminal that nobody has made larger: 24, and the prompt needs the last one
_LEAST_BATCHES = 3
#: From a roomy screen to a full one: rows that a sentence may take, and how many things are told
#: that are not well. These come before what is at work.
_ROOMS = ((3, 4), (2, 4), (1, 4), (1, 3), (1, 2), (1, 1))
_NOT_RUNNING = "not running (start it: batchd run); this is from the ledger, read only"
#: Facts of a line of the log: what was said, of whom, and what stands elsewhere in the sentence.
_SAID, _ABOUT, _HEAD = (
    ("text", "reason", "error"),
    ("shard", "job", "subject"),
    ("ts", "level", "event"),
)
_LEAST_ROWS = 2  #: of what is not well


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the screen."""

    label: str
    text: str
    done: tuple[int, int] | None = None  #: of a batch: answered, and all
    is_bad: bool = False


def screen(
    found: Status, note: str | None, *, now: float, lines: int = LINES, columns: int | None = None
) -> list[Line]:
    """Compose it: what is always there, then as much of the lists as there is room for.

    `note` says why it is not the daemon that tells. With `columns` a sentence goes on below itself,
    as far as there are lines: half a sentence tells nobody what to do.
    """
    for rows, ills in _ROOMS:
        composed = _composed(found, note, now, lines, _Width(columns, rows), ills)
        if len(composed) <= lines:
            break
    return composed


def _composed(
    found: Status, note: str | None, now: float, lines: int, width: _Width, ills: int
) -> list[Line]:
    above = width.folded(_above(found, note, now))
    below = width.folded(_below(found, now))
    ill = list(_health(found.health, now, width, ills))
    room = lines - len(above) - len(below) - len(ill) - 1  # the line that counts the batches
    most = max(room - _lines_for(found.batches.open, room), 1)
    waits = list(_waits(found, {item.code for item in found.health[:ills]}, most))
    if len(folded := width.folded(waits)) <= most:
        waits = folded
    batches = list(_batches(found, now, most=room - len(waits)))
    return [*above, *batches, *waits, *below, *ill]


@dataclass(frozen=True, slots=True)
class _Width:
    """How wide the screen is, and over how many rows a sentence may go on."""

    columns: int | None  #: None where nobody counts them, as in a pipe
    rows: int

    def folded(self, lines: Iterable[Line]) -> list[Line]:
        return [row for line in lines for row in self.fold(line, self.rows)]

    def fold(self, line: Line, most: int | None) -> list[Line]:
        """Continue a line below itself; without `most` until all of it is said."""
        if self.columns is None or most == 1:
            return [line]
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        texts = textwrap.wrap(
            line.text,
            max((self.columns - LABEL) // _widest(line.text), 1),
            subsequent_indent=indent,
            break_on_hyphens=False,
            max_lines=most,
            placeholder="…",
        )
        first, *others = texts or [""]
        return [replace(line, text=first), *(replace(line, label="", text=one) for one in others)]


def _widest(text: str) -> int:
    """Columns of its widest letter: Chinese and Japanese ones take two."""
    return 2 if any(unicodedata.east_asian_width(letter) in "WF" for letter in text) else 1


def _lines_for(batches: Sequence[Any], room: int) -> int:
    """Half of the room, or less where there are not so many."""
    return min(len(batches), max(room // 2, _LEAST_BATCHES))


def _above(found: Status, note: str | None, now: float) -> Iterator[Line]:
    yield _line("daemon", f"{_daemon(found.daemon, note, now)}; root {found.root}")
    if found.daemon.running:
        yield _line("watcher", found.daemon.watcher)
    if found.paused:
        yield _line("paused", _paused(found))
    yield _line("inbox", _inbox(found))
    yield _line("jobs", _jobs(found))


def _below(found: Status, now: float) -> Iterator[Line]:
    if admission := _admission(found):
        yield _line("admission", admission)
    if found.budget is not None:
        yield _line("spent today", _spent(found.budget))
    yield _line("last problem", _problem(found.last_problem, now))


def _line(label: str, text: str, **more: Any) -> Line:
    return Line(label, printable(text), **more)


def _daemon(daemon: Daemon, note: str | None, now: float) -> str:
    if not daemon.running:
        return (note or _NOT_RUNNING).removeprefix("the daemon is ")
    since = f" for {duration(now - epoch(daemon.since))}" if daemon.since else ""
    told = f"running{since}, process {daemon.pid or 'unknown'}, batchd {daemon.version}"
    return f"{told}; {note}" if note else told


def _paused(found: Status) -> str:
    said = (f"{what}, by {by}" for what, by in found.paused.items())
    return f"{'; '.join(said)}; batchd resume goes on"


def _inbox(found: Status) -> str:
    inbox = found.inbox
    if inbox.trouble:
        return f"cannot be listed: {inbox.trouble}"
    where = ", ".join(f"{count:,} in {task}/" for task, count in inbox.tasks.items())
    waiting = f"{_total(inbox.waiting)} waiting{_in_brackets(inbox.waiting)}"
    waiting += f", {where}" if where else ""
    return f"{waiting}; {_total(inbox.ignored)} ignored{_in_brackets(inbox.ignored)}"


def _jobs(found: Status) -> str:
    ways, ended = found.jobs.on_their_way, found.jobs.ended
    # That the others are claimed is no news, and `batchd jobs` means less by that word.
    held = {name: count for name, count in ways.items() if name == Standing.HELD}
    on_way = f"{_total(ways)} on their way{_in_brackets(held)}"
    return f"{on_way}; {_total(ended)} ended{_in_brackets(ended)}"


def _total(counts: Mapping[Any, int]) -> str:
    return f"{sum(counts.values()):,}"


def _in_brackets(counts: Mapping[Any, int]) -> str:
    return (
        f" ({', '.join(f'{count:,} {name}' for name, count in counts.items())})" if counts else ""
    )


def _batches(found: Status, now: float, *, most: int) -> Iterator[Line]:
    batches, allowed = found.batches.open, found.batches.max_open
    oldest = f", the oldest for {duration(now - epoch(batches[0].opened_at))}" if batches else ""
    yield _line("batches", f"{len(batches):,} open of {allowed:,} allowed{oldest}")
    fit = most if len(batches) <= most else most - 1
    for batch in batches[: max(fit, 0)]:
        age = duration(now - epoch(batch.opened_at))
        text = f"{age:>10}  {batch.status}  {batch.shard} {batch.name}  {batch.batch}"
        yield _line("", text, done=(batch.completed, batch.requests))
    if len(batches) > fit:
        yield _line("", f"and {len(batches) - fit:,} younger ones")


def _waits(found: Status, told: set[str], most: int) -> Iterator[Line]:
    """What waits for what, but for that which is told among what is not well."""
    waits = [one for one in found.waits if one.code not in told]
    waits.sort(key=lambda one: one.standing != Standing.HELD)
    fit = most if len(waits) <= most else most - 1
    for number, one in enumerate(waits[:fit]):
        text = f"{one.count:,} {one.code}; {one.example}: {one.sentence}"
        yield _line("waits" if number == 0 else "", text)
    if len(waits) > fit:
        yield _line(
            "" if fit else "waits", f"for {len(waits) - fit} more reasons: batchd status --json"
        )


def _admission(found: Status) -> str:
    """How full the queues with a limit are, and the hour where it is half full."""
    admission = found.admission
    said = [
        f"{model} {_short(queue.queued)} of {_short(queue.limit)} tokens"
        for model, queue in admission.tokens.items()
        if queue.limit is not None
    ]
    created, per_hour = admission.created_within_the_hour, admission.max_per_hour
    if created * 2 > per_hour:
        said.append(f"{created:,} of {per_hour:,} batches within the hour")
    return "; ".join(said)


def _short(count: int) -> str:
    for unit, length in (("M", 1_000_000), ("k", 1_000)):
        if count >= length:
            return f"{count / length:.1f}{unit}"
    return str(count)


def _spent(budget: Budget) -> str:
    most = "" if budget.per_day is None else f" of {money(budget.per_day)}"
    under_way = f"; {money(budget.under_way)} expected of what is under way"
    return f"{money(budget.spent_today)}{most} USD{under_way if budget.under_way else ''}"


def _problem(problem: Mapping[str, object] | None, now: float) -> str:
    if problem is None:
        return "none in the log"
    said = _first(problem, _SAID) or ", ".join(
        f"{name}={value}" for name, value in problem.items() if name not in (*_ABOUT, *_HEAD)
    )
    about = _first(problem, _ABOUT)
    about = f" ({about})" if about else ""
    return f"{_ago(problem.get('ts'), now)}{problem.get('event')}{about}: {said}".rstrip(": ")


def _first(facts: Mapping[str, object], names: Sequence[str]) -> object:
    return next((facts[name] for name in names if facts.get(name)), "")


def _ago(ts: object, now: float) -> str:
    try:
        return f"{duration(now - epoch(str(ts)))} ago, "
    except ValueError:
        return ""


def _health(items: Sequence[HealthItem], now: float, width: _Width, most: int) -> Iterator[Line]:
    """The screen ends with what is not well and what to type: all of that, however long it is."""
    for number, item in enumerate(items[:most]):
        count = f" ({item.count:,})" if item.count > 1 else ""
        since = f" for {duration(now - epoch(item.since))}" if item.since else ""
        text = f"{item.severity}, {item.code}{count}{since}: {item.text}"
        line = _line("" if number else "not well", text, is_bad=True)
        yield from width.fold(line, max(width.rows, _LEAST_ROWS))
        yield from width.fold(_line("", f"  -> {item.fix}"), None)
    if len(items) > most:
        yield _line("", f"and {len(items) - most} more: batchd status --json")
