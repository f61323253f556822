"""What would become of a file that is dropped: by the same reading as the daemon's, and no more.

Needs no daemon, no key and no network; nor a ledger, though one tells what is spent already, and
how large a batch the provider takes.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from batchd.control.ledger import Reader
from batchd.control.messages import Held, Standing
from batchd.core.admission import LEARNED_FOR
from batchd.core.budget import Hold, Limits, Spending, Waiting, behind, why_held
from batchd.core.contents import Count
from batchd.core.errors import LibraryMissing
from batchd.core.rendering import problems_as_dict
from batchd.core.sharding import ShardPlan
from batchd.core.tasks import Task
from batchd.core.usage import Charge
from batchd.meters.estimates import expected, together
from batchd.meters.prices import Prices
from batchd.settings import Settings
from batchd.spool.examining import Examined, examine
from batchd.spool.wanted import Names
from batchd.spool.work import InputChanged

SCHEMA = 1  #: of `batchd check --json`; members are only ever added

#: Which setting cut a file, in the words of `Examined.cuts`.
CUT_BY = {
    "requests": "batches.max_requests",
    "bytes": "batches.max_bytes",
    "tokens": "batches.enqueued_tokens",
    "inputs": "batches.max_inputs",
    "output_bytes": "batches.max_output_bytes",
}


#: Holds what a file is expected to cost against limits: None where it may be sent.
Holds = Callable[[float | None, Limits], Hold | None]


def alone(estimate: float | None, limits: Limits) -> Hold | None:
    """Judge a file as if nothing were spent."""
    return why_held(estimate, Spending(), limits)


def standing_of(reader: Reader, *, now: float) -> Standing:
    """Read what is queued and spent; nothing of that in a ledger of an older batchd."""
    if not reader.keeps_sums():
        return Standing(now=now)
    spending = reader.spending(now)
    return Standing(
        now=now,
        tokens=reader.rooms_learned(since=now - LEARNED_FOR),
        today=spending.today,
        month=spending.month,
        under_way=spending.under_way,
        unknown=spending.unknown,
        waiting=tuple(Held(*one) for one in reader.waiting_for_money()),
    )


def as_known(settings: Settings, standing: Standing) -> tuple[Settings, Holds]:
    """Return what the daemon would go by: the queues that the provider named, and what is spent."""
    rooms = dict(settings.batches.enqueued_tokens)
    for model, told in standing.tokens.items():
        rooms[model] = min(told, rooms.get(model, told))
    batches = msgspec.structs.replace(settings.batches, enqueued_tokens=rooms)
    spending = Spending(
        standing.today, standing.month, standing.under_way, unknown=standing.unknown
    )
    waiting = [Waiting(one.job, one.estimate, one.claimed_at) for one in standing.waiting]

    def holds(estimate: float | None, limits: Limits) -> Hold | None:
        return why_held(estimate, behind(waiting, spending, limits, now=standing.now), limits)

    return msgspec.structs.replace(settings, batches=batches), holds


class Fate(StrEnum):
    """What the daemon would do with a file."""

    ACCEPTED = "accepted"  #: every line is good
    HELD = "held"  #: every line is good, and the budget lets it wait for somebody's word
    REJECTED = "rejected"  #: it would come back with error.txt
    NOT_FOUND = "not-found"  #: there is no such file
    UNREADABLE = "unreadable"  #: it can't be read, or not yet


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file asks of one model at one endpoint."""

    model: str
    endpoint: str
    requests: int
    batches: int
    inputs: int  #: texts to embed
    input_tokens: int
    output_tokens: int  #: expected
    cost: Charge  #: expected


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, looked at."""

    path: Path
    fate: Fate
    examined: Examined | None = None  #: None where it could not be read
    task: Task | None = None  #: by which it is read; None for a file of request lines
    trouble: str = ""  #: why it could not
    kinds: tuple[Kind, ...] = ()
    budget: tuple[str, ...] = ()  #: what stands against the budget, a sentence each
    note: str = ""  #: what the inbox thinks of its name

    @property
    def cost(self) -> Charge:
        """Expected; unknown where one price is."""
        return together(kind.cost for kind in self.kinds)

    @property
    def added_columns(self) -> tuple[str, ...]:
        """What the results of a table have besides its own columns."""
        if self.task is None or self.examined is None or self.examined.layout is None:
            return ()
        from batchd.core.columns import added_columns

        return added_columns(self.task, self.examined.layout)

    @property
    def input_tokens(self) -> int:
        """Of all requests."""
        return sum(kind.input_tokens for kind in self.kinds)

    @property
    def output_tokens(self) -> int:
        """Expected of all requests."""
        return sum(kind.output_tokens for kind in self.kinds)


def check(
    path: Path,
    settings: Settings,
    *,
    prices: Prices,
    count: Count | None,
    holds: Holds = alone,
    task: Task | None = None,
    tasks: Sequence[str] = (),
) -> Checked:
    """Read one file as the daemon would, wherever it lies: as a `task`'s, or as request lines.

    `tasks`: which there are, for who drops a table where no task is asked.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Checked(path, Fate.UNREADABLE, trouble="it is not a file")
        examined = _examined(path, settings, count, task)
    except (FileNotFoundError, NotADirectoryError):
        return Checked(path, Fate.NOT_FOUND, trouble="there is no such file")
    except InputChanged:
        return Checked(path, Fate.UNREADABLE, trouble="a program is still writing it; try later")
    except LibraryMissing as missing:
        return Checked(path, Fate.UNREADABLE, trouble=f"it would wait: {missing}")
    except OSError as error:
        return Checked(path, Fate.UNREADABLE, trouble=error.strerror or str(error))
    note = _note(path, settings, task, tasks)
    return _judged(Checked(path, Fate.ACCEPTED, examined, task, note=note), settings, prices, holds)


def _examined(path: Path, settings: Settings, count: Count | None, task: Task | None) -> Examined:
    """Twice, if need be: a file just written has its blocks given on the disk a little later."""
    read = _reading(task)
    for is_last in (False, True):
        try:
            return read(path, settings, pause=lambda: None, count=count, thorough=True)
        except InputChanged:
            if is_last:
                raise
    raise AssertionError


def _reading(task: Task | None) -> Callable[..., Examined]:
    if task is None:
        return examine
    from batchd.rounds.examining import examine_table  # late: it loads what renders templates

    def read(path: Path, settings: Settings, **how: Any) -> Examined:
        return examine_table(path, task, settings, **how)

    return read


def _judged(read: Checked, settings: Settings, prices: Prices, holds: Holds) -> Checked:
    assert read.examined is not None
    kinds = tuple(_kinds(read.examined.shards, prices))
    if read.examined.problems.total:
        return replace(read, fate=Fate.REJECTED, kinds=kinds)
    hold = holds(together(kind.cost for kind in kinds).batch, settings.budget.limits)
    if hold is None:
        return replace(read, kinds=kinds)
    return replace(read, fate=Fate.HELD, kinds=kinds, budget=(hold.text,))


def _note(path: Path, settings: Settings, task: Task | None, tasks: Sequence[str]) -> str:
    """What its folder thinks of a name: the inbox, or a task's folder."""
    inbox = settings.inbox
    names = Names.of_inbox(inbox, tasks) if task is None else Names.of_task(inbox, task)
    left_alone = names.why_not(path.name)
    return left_alone.sentence if left_alone else ""


def _kinds(shards: Sequence[ShardPlan], prices: Prices) -> Iterator[Kind]:
    by_kind: dict[tuple[str, str], list[ShardPlan]] = {}
    for shard in shards:
        by_kind.setdefault((shard.model, shard.endpoint), []).append(shard)
    for (model, endpoint), plans in by_kind.items():
        yield Kind(
            model=model,
            endpoint=endpoint,
            requests=sum(plan.requests for plan in plans),
            batches=len(plans),
            inputs=sum(plan.inputs for plan in plans),
            input_tokens=sum(plan.tokens for plan in plans),
            output_tokens=sum(plan.output_tokens for plan in plans),
            cost=together(expected(plan, prices) for plan in plans),
        )


def as_dict(checked: Checked) -> dict[str, Any]:
    """`batchd check --json`, one file."""
    found = checked.examined
    told: dict[str, Any] = {"file": str(checked.path), "fate": checked.fate}
    if checked.task is not None:
        told["task"] = checked.task.name
    if found is None:
        return {**told, "trouble": checked.trouble}
    return {
        **told,
        **_table_as_dict(checked, found),
        "bytes": found.size,
        "inflated_bytes": found.inflated,
        "sha256": found.sha256,
        "requests": found.requests,
        "batches": len(found.shards),
        "cuts": {CUT_BY[limit]: times for limit, times in found.cuts.items()},
        "verbatim": found.verbatim,
        "kinds": [_kind_as_dict(kind) for kind in checked.kinds],
        "input_tokens": checked.input_tokens,
        "counted_requests": found.exact,
        "output_tokens": checked.output_tokens,
        "cost": _cost_as_dict(checked.cost),
        "budget": list(checked.budget),
        "repairs": found.repairs.as_dict(),
        "warnings": found.warnings.as_list(),
        "problems": problems_as_dict(found.problems),
        "note": checked.note,
    }


def _table_as_dict(checked: Checked, found: Examined) -> dict[str, Any]:
    """What there is to say of a table besides."""
    if checked.task is None:
        return {}
    return {
        "records": found.records or 0,
        "records_per_request": checked.task.records_per_request,
        "columns": list(found.layout.columns) if found.layout else [],
        "added_columns": list(checked.added_columns),
        "first_request": msgspec.json.decode(found.example) if found.example else None,
    }


def _kind_as_dict(kind: Kind) -> dict[str, Any]:
    return {
        "model": kind.model,
        "endpoint": kind.endpoint,
        "requests": kind.requests,
        "batches": kind.batches,
        "inputs": kind.inputs,
        "input_tokens": kind.input_tokens,
        "output_tokens": kind.output_tokens,
        "cost": _cost_as_dict(kind.cost),
    }


def _cost_as_dict(cost: Charge) -> dict[str, Any] | None:
    if cost.batch is None:
        return None
    direct = None if cost.direct is None else round(cost.direct, 10)
    return {
        "amount": round(cost.batch, 10),
        "direct": direct,
        "saving": None if direct is None else round(direct - cost.batch, 10),
        "currency": "USD",
    }
