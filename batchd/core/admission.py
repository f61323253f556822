"""Which planned shards may become batches now, and what the others wait for.

One function says so to the stage that submits and to whoever asks why a file waits.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchd.core.model import BatchError, ShardState
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Shard
from batchd.core.verdicts import NO_ROOM_CODE, room_told

if TYPE_CHECKING:
    from batchd.core.events import RoomLearned

EMBEDDINGS = "/v1/embeddings"
HOUR = 3600.0
#: Seconds a learned limit is believed. Accounts grow, and nobody tells us: it is asked for anew.
LEARNED_FOR = 86_400.0
#: Seconds that smaller shards may pass one that there is no room for. Enough for a small file not
#: to wait for a day's work to end; and an end, or a stream of small files would starve a large one.
PATIENCE = 600.0


#: The states that take turns; what has ended has given its place away.
_IN_LINE = (ShardState.PLANNED, ShardState.SUBMITTING, ShardState.OPEN)


@dataclass(frozen=True, slots=True)
class Load:
    """What is, or may be, at the provider."""

    batches: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict)  #: estimated input, by model
    embeddings: int = 0  #: requests for embeddings, over all models

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> Load:
        """Add up shards."""
        batches, tokens, embeddings = 0, Counter[str](), 0
        for shard in shards:
            batches += 1
            tokens[shard.model] += shard.tokens
            embeddings += _embeddings(shard)
        return cls(batches, tokens, embeddings)

    def __add__(self, other: Load) -> Load:
        return Load(
            self.batches + other.batches,
            Counter(self.tokens) + Counter(other.tokens),
            self.embeddings + other.embeddings,
        )


@dataclass(frozen=True, slots=True)
class Created:
    """The batches whose creation began within the last hour."""

    number: int = 0
    oldest: float | None = None  #: when the first of them began


@dataclass(frozen=True, slots=True)
class Limits:
    """What the account allows, by the operator's word and by the provider's."""

    max_open: int
    max_per_hour: int
    embeddings: int
    configured: Mapping[str, int] = field(default_factory=dict)  #: tokens by model
    learned: Mapping[str, int] = field(default_factory=dict)  #: likewise

    def tokens(self, model: str) -> int | None:
        """How many tokens of a model may be queued; None where nobody knows of a limit."""
        known = [limits[model] for limits in (self.configured, self.learned) if model in limits]
        return min(known, default=None)

    def all_tokens(self) -> dict[str, int]:
        """Return the limits of all models that have one."""
        models = [*self.configured, *self.learned]
        return {model: most for model in models if (most := self.tokens(model)) is not None}


@dataclass(frozen=True, slots=True)
class Resting:
    """What waits for a person's word."""

    is_paused: bool = False
    held: AbstractSet[str] = frozenset()  #: jobs


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer, for all planned shards."""

    admitted: tuple[Shard, ...] = ()  #: in the order they are to be sent
    too_large: tuple[Shard, ...] = ()  #: for the queue as the provider named it: to be cut up
    waits: Mapping[str, ReasonCode] = field(default_factory=dict)  #: by shard: what for


def in_turn(
    shards: Iterable[Shard], *, taken: Mapping[tuple[str, str], int] | None = None
) -> list[Shard]:
    """Put planned shards in their order: one of each job and model before a second of any.

    A job of two hundred shards starves nobody. What a job has at the provider were its turns
    already: room comes one batch at a time, and the oldest job would get it every time. Such
    shards may be among `shards`, or counted by job and model in `taken`.
    """
    turns = Counter[tuple[str, str]](taken)
    planned = defaultdict[int, list[Shard]](list)
    for shard in sorted((s for s in shards if s.state in _IN_LINE), key=_place):
        turns[shard.job, shard.model] += 1
        if shard.state is ShardState.PLANNED:
            planned[turns[shard.job, shard.model]].append(shard)
    return [shard for turn in sorted(planned) for shard in planned[turn]]


def admit(
    queue: Sequence[Shard],
    *,
    load: Load,
    created: Created,
    limits: Limits,
    now: float,
    resting: Resting | None = None,
) -> Admission:
    """Let in what there is room for. `queue`: planned shards in turn (see `in_turn`).

    Those that are not due are not let in; one that the provider had no room for keeps its place
    all the same.
    """
    gate = _Gate(load, created, limits, now)
    admitted, too_large, waits = list[Shard](), list[Shard](), dict[str, ReasonCode]()
    for shard in queue:
        if code := _who_says_no(shard, resting or Resting()):
            waits[shard.id] = code
        elif _is_too_large(shard, limits):
            too_large.append(shard)
        elif shard.due_at > now:
            gate.pass_by(shard)
        elif code := gate.refusal(shard):
            waits[shard.id] = code
        else:
            gate.let_in(shard)
            admitted.append(shard)
    return Admission(tuple(admitted), tuple(too_large), waits)


def learned_from(model: str, errors: Sequence[BatchError]) -> tuple[RoomLearned, ...]:
    """Return the queue limit that a refusal for room names, as an event; () where it names none."""
    from batchd.core.events import RoomLearned  # late: `batchd status` must start fast

    told = room_told([error for error in errors if error.code == NO_ROOM_CODE])
    return () if told is None else (RoomLearned(model=model, tokens=told),)


def _who_says_no(shard: Shard, resting: Resting) -> ReasonCode | None:
    if shard.job in resting.held:
        return ReasonCode.HELD
    return ReasonCode.SUBMISSION_PAUSED if resting.is_paused else None


def _is_too_large(shard: Shard, limits: Limits) -> bool:
    """Whether the provider has said already that it will never have it, and it can be cut."""
    return shard.requests > 1 and shard.tokens > limits.learned.get(shard.model, math.inf)


class _Gate:
    """Counts what it has let in."""

    def __init__(self, load: Load, created: Created, limits: Limits, now: float) -> None:
        self._batches, self._created = load.batches, created.number
        self._tokens, self._embeddings = Counter(load.tokens), load.embeddings
        self._limits, self._now = limits, now
        self._closed = set[str]()  #: queues whose first in line has waited long enough

    def refusal(self, shard: Shard) -> ReasonCode | None:
        """Why it must wait, if it must."""
        if self._batches >= self._limits.max_open:
            return ReasonCode.WAITING_FOR_ROOM
        if self._created >= self._limits.max_per_hour:
            return ReasonCode.WAITING_FOR_THE_HOUR
        if not self._has_tokens(shard):
            self._keep_place(shard, shard.model)
            return ReasonCode.WAITING_FOR_TOKENS
        if not self._has_embeddings(shard):
            self._keep_place(shard, EMBEDDINGS)
            return ReasonCode.WAITING_FOR_EMBEDDINGS
        return None

    def pass_by(self, shard: Shard) -> None:
        """It is not due; if for want of room, it has its place in line."""
        if shard.reason == ReasonCode.NO_ROOM:
            self._keep_place(shard, shard.model)

    def let_in(self, shard: Shard) -> None:
        self._batches += 1
        self._created += 1
        self._tokens[shard.model] += shard.tokens
        self._embeddings += _embeddings(shard)

    def _keep_place(self, shard: Shard, queue: str) -> None:
        if self._now - shard.planned_at >= PATIENCE:
            self._closed.add(queue)

    def _has_tokens(self, shard: Shard) -> bool:
        if shard.model in self._closed:
            return False
        # One larger than the limit goes when nothing else is there: the limit may be wrong, and
        # the provider's own refusal says the right one.
        queued, limit = self._tokens[shard.model], self._limits.tokens(shard.model)
        return limit is None or not queued or queued + shard.tokens <= limit

    def _has_embeddings(self, shard: Shard) -> bool:
        texts = _embeddings(shard)
        if not texts:
            return True
        fits = not self._embeddings or self._embeddings + texts <= self._limits.embeddings
        return fits and EMBEDDINGS not in self._closed


def _embeddings(shard: Shard) -> int:
    return shard.requests if shard.endpoint.endswith(EMBEDDINGS.removeprefix("/v1")) else 0


def _place(shard: Shard) -> tuple[str, bool, int]:
    return shard.job, shard.state is ShardState.PLANNED, shard.number
