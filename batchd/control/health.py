"""What is not well, since when, and the command that mends it. Pure: facts and `now` come in.

Not everything that waits is ill: a full queue is an ordinary day. An item is something that a person
must see to, or that has lasted longer than such things do; until then it is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote
from typing import Any, NamedTuple

from batchd.control.presence import Presence
from batchd.core.model import Pause
from batchd.core.names import printable
from batchd.core.reasons import Reason, ReasonCode

SCAN_ONLY = "scan-only"
_C = ReasonCode


class Severity(StrEnum):
    """How much it matters."""

    HIGH = "high"  #: nothing goes on, or something paid for is at stake
    MEDIUM = "medium"  #: something waits for a person
    LOW = "low"  #: it works, and not as it is meant to


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is not well."""

    code: str  #: a reason's code, or scan-only
    severity: Severity
    since: float | None  #: seconds since the epoch; None where nobody knows
    text: str
    fix: str  #: a command
    count: int = 1  #: files or jobs that have it


class Watch(NamedTuple):
    """A reason that is not well once it has lasted."""

    severity: Severity
    visible_after: float  #: seconds; less is weather
    fix: str  #: {name} is the file or job


#: The first is shown first, within its severity.
WATCHED: Mapping[ReasonCode, Watch] = {
    _C.DOUBT_UNSETTLED: Watch(Severity.HIGH, 0, "batchd show {name}"),
    _C.BATCH_VANISHED: Watch(Severity.HIGH, 0, "batchd config check"),
    _C.ANSWERS_MISSING: Watch(Severity.HIGH, 60, "batchd config check"),
    _C.DENIED: Watch(Severity.HIGH, 10, "batchd config check"),
    _C.DISK_LOW: Watch(Severity.HIGH, 30, "df -h {root}"),
    _C.NOT_LOOKED: Watch(Severity.HIGH, 10, "batchd doctor"),
    _C.CANNOT_MOVE: Watch(Severity.HIGH, 30, "batchd doctor"),
    _C.INPUT_CHANGED: Watch(Severity.HIGH, 0, "batchd why {name}"),
    _C.KEPT_TASK_GONE: Watch(Severity.HIGH, 0, "batchd why {name}"),
    _C.INPUT_MISSING: Watch(Severity.HIGH, 0, "batchd why {name}"),
    _C.PROVIDER_UNAVAILABLE: Watch(Severity.MEDIUM, 120, "batchd config check"),
    _C.OVER_BUDGET: Watch(Severity.MEDIUM, 0, "batchd release {name}"),
    _C.COST_UNKNOWN: Watch(Severity.MEDIUM, 0, "batchd release {name}"),
    _C.STUCK: Watch(Severity.MEDIUM, 0, "batchd cancel {name}"),
    _C.TASK_BROKEN: Watch(Severity.MEDIUM, 0, "batchd config check --offline"),
    _C.WAITING_FOR_TASK: Watch(Severity.MEDIUM, 0, "batchd config check --offline"),
    _C.LIBRARY_MISSING: Watch(Severity.MEDIUM, 0, 'pip install "batchd[tables]"'),
    _C.NO_PERMISSION: Watch(Severity.MEDIUM, 60, "chmod g+r {inbox}/{name}"),
    _C.TASK_MISSING: Watch(Severity.LOW, 60, "batchd why {inbox}/{name}"),
    _C.FILE_UNSEEN: Watch(Severity.LOW, 600, "batchd show {name}"),
    _C.DOUBT: Watch(Severity.LOW, 600, "batchd show {name}"),
}
PAUSED_AFTER = 3_600.0  #: seconds: whoever pauses means it; an hour later it may be forgotten
_START = "batchd run, or systemctl start batchd"

#: Since when a file or job has a reason; None where nobody knows.
Since = Callable[[str, Reason], float | None]


@dataclass(frozen=True, slots=True)
class Ward:
    """What there is to be looked at."""

    groups: Sequence[Sequence[tuple[str, Reason]]]  #: what waits, by its reason
    daemon: Presence
    inbox_trouble: str | None
    pauses: Mapping[Pause, tuple[str, float]]  #: who, and when
    last_word: float | None  #: when the log was last written
    root: str


def health(ward: Ward, *, since: Since, now: float) -> list[Item]:
    """Return what is not well for long enough to be shown, the worst first."""
    order = list(Severity)
    found = [item for item, after in _items(ward, since, now) if _is_visible(item, after, now)]
    return sorted(found, key=lambda item: order.index(item.severity))


def _is_visible(item: Item, after: float, now: float) -> bool:
    # The daemon's clock may be a little ahead of ours: that is no reason to hide anything.
    return item.since is None or max(now - item.since, 0.0) >= after


def _items(ward: Ward, since: Since, now: float) -> Iterator[tuple[Item, float]]:
    yield from _of_the_house(ward)
    groups = {group[0][1].code: group for group in ward.groups}
    for code, watch in WATCHED.items():
        if code in groups:
            yield _of_group(groups[code], watch, ward.root, since), watch.visible_after
    for what, (by, at) in ward.pauses.items():
        text = f"{what} rests, by {by}"
        yield Item(str(_C.PAUSED), Severity.LOW, at, printable(text), "batchd resume"), PAUSED_AFTER


def _of_the_house(ward: Ward) -> Iterator[tuple[Item, float]]:
    if not ward.daemon.is_running:
        text = "no daemon runs here: nothing is taken, and nothing is looked after"
        item = Item(str(_C.NOT_RUNNING), Severity.HIGH, ward.last_word, text, _START)
        yield item, 0.0
    if ward.inbox_trouble is not None:
        text = f"the inbox can't be listed: {ward.inbox_trouble}"
        fix = f"batchd init {quote(ward.root)}"
        yield Item(str(_C.NOT_LOOKED), Severity.HIGH, None, printable(text), fix), 0.0
    if ward.daemon.watcher.startswith("scan only"):
        text = f"new files are found by looking now and then ({ward.daemon.watcher})"
        yield Item(SCAN_ONLY, Severity.LOW, None, printable(text), "batchd doctor"), 0.0


def _of_group(group: Sequence[tuple[str, Reason]], watch: Watch, root: str, since: Since) -> Item:
    name, reason = group[0]
    fix = watch.fix.format(name=quote(name), root=quote(root), inbox=quote(f"{root}/inbox"))
    return Item(
        code=str(reason.code),
        severity=watch.severity,
        since=since(name, reason),
        text=printable(f"{name}: {reason.sentence}"),
        fix=printable(fix),
        count=len(group),
    )


def began(history: Sequence[Mapping[str, Any]], reason: Reason) -> float | None:
    """Return since when a job has a reason without a break, from what happened to it."""
    at = None
    shard = reason.facts.get("shard")
    for fact in reversed(history):
        told = fact["facts"].get("reason")
        if shard is not None and fact["shard"] != shard:
            continue
        if told == str(reason.code):
            at = float(fact["at"])
        elif told is not None or at is not None:
            break
    return at
