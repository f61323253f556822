"""What would become of a file that is dropped: by the same reading as the daemon's, and no more.

Needs no daemon, no key and no network; nor a ledger, though one tells what is spent already, and
how large a batch the provider takes.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from batchd.control.ledger import Reader
from batchd.control.messages import Held, Standing
from batchd.core.admission import LEARNED_FOR
from batchd.core.budget import Hold, Limits, Spending, Waiting, behind, why_held
from batchd.core.contents import Count
from batchd.core.rendering import problems_as_dict
from batchd.core.sharding import ShardPlan
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
    trouble: str = ""  #: why it could not
    kinds: tuple[Kind, ...] = ()
    budget: tuple[str, ...] = ()  #: what stands against the budget, a sentence each
    note: str = ""  #: what the inbox thinks of its name

    @property
    def cost(self) -> Charge:
        """Expected; unknown where one price is."""
        return together(kind.cost for kind in self.kinds)

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
) -> Checked:
    """Read one file as the daemon would, wherever it lies."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Checked(path, Fate.UNREADABLE, trouble="it is not a file")
        examined = _examined(path, settings, count)
    except (FileNotFoundError, NotADirectoryError):
        return Checked(path, Fate.NOT_FOUND, trouble="there is no such file")
    except InputChanged:
        return Checked(path, Fate.UNREADABLE, trouble="a program is still writing it; try later")
    except OSError as error:
        return Checked(path, Fate.UNREADABLE, trouble=error.strerror or str(error))
    return _judged(path, examined, settings, prices, holds)


def _examined(path: Path, settings: Settings, count: Count | None) -> Examined:
    """Twice, if need be: a file just written has its blocks given on the disk a little later."""
    for is_last in (False, True):
        try:
            return examine(path, settings, pause=lambda: None, count=count, thorough=True)
        except InputChanged:
            if is_last:
                raise
    raise AssertionError


def _judged(
    path: Path, examined: Examined, settings: Settings, prices: Prices, holds: Holds
) -> Checked:
    kinds = tuple(_kinds(examined.shards, prices))
    left_alone = Names.of_inbox(settings.inbox).why_not(path.name)
    note = left_alone.sentence if left_alone else ""
    if examined.problems.total:
        return Checked(path, Fate.REJECTED, examined, kinds=kinds, note=note)
    hold = holds(together(kind.cost for kind in kinds).batch, settings.budget.limits)
    budget = (hold.text,) if hold else ()
    fate = Fate.HELD if budget else Fate.ACCEPTED
    return Checked(path, fate, examined, kinds=kinds, budget=budget, note=note)


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
    if found is None:
        return {**told, "trouble": checked.trouble}
    return {
        **told,
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
