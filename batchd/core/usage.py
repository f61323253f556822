"""Tokens, as the answers themselves report them, added up per model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Raw


class Usage(msgspec.Struct, frozen=True):
    """What one request, or many, took. Cached and reasoning tokens are parts of the totals."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Reported(msgspec.Struct):
    """Chat says prompt and completion, Responses says input and output; embeddings only prompt."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


# Not strict: some servers write 12.0, and a token is a token.
_decode = msgspec.json.Decoder(_Reported | None, strict=False).decode


def read_usage(raw: Raw) -> Usage | None:
    """Read a body's `usage`; None where there is none, or none that can be read."""
    try:
        reported = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if reported is None:
        return None
    into = reported.prompt_tokens_details or reported.input_tokens_details or _Details()
    out = reported.completion_tokens_details or reported.output_tokens_details or _Details()
    return Usage(
        reported.prompt_tokens or reported.input_tokens or 0,
        reported.completion_tokens or reported.output_tokens or 0,
        into.cached_tokens or 0,
        out.reasoning_tokens or 0,
    )


class Charge(NamedTuple):
    """What something costs, in US dollars. None is not known, never 0."""

    batch: float | None
    direct: float | None  #: the same, asked for without a batch


UNKNOWN = Charge(None, None)


class ModelUsage(msgspec.Struct, frozen=True):
    """What one model took, and what it cost. `cost` is None as soon as one price is unknown."""

    usage: Usage = Usage()
    requests: int = 0
    cost: float | None = 0.0  #: US dollars
    direct_cost: float | None = 0.0  #: what the same would have cost without a batch

    def __add__(self, other: ModelUsage) -> ModelUsage:
        return ModelUsage(
            self.usage + other.usage,
            self.requests + other.requests,
            _sum(self.cost, other.cost),
            _sum(self.direct_cost, other.direct_cost),
        )


#: Below this many input tokens every model's price is linear: the lowest tier begins at 128,000.
LINEAR_BELOW = 100_000


class Tab:
    """Adds up what one model takes, answer by answer: in place, for there are a million of them.

    What answers cost is asked for many at once: as long as all of them together are below any tier,
    the price of their sum is the sum of their prices.
    """

    __slots__ = ("_cached", "_into", "_out", "_price", "_reasoning", "_requests", "_settled")

    def __init__(self, price: Callable[[Usage], Charge]) -> None:
        self._price = price
        self._into = self._out = self._cached = self._reasoning = self._requests = 0
        self._settled = ModelUsage()

    def add(self, usage: Usage) -> None:
        """Add one answer; one unknown price makes the sum unknown."""
        is_alone = not is_sane(usage)  # nobody knows what is made of such a one
        if is_alone or self._into + usage.input_tokens >= LINEAR_BELOW:
            self._settle()
        self._into += usage.input_tokens
        self._out += usage.output_tokens
        self._cached += usage.cached_tokens
        self._reasoning += usage.reasoning_tokens
        self._requests += 1
        if is_alone:
            self._settle()

    def total(self) -> ModelUsage:
        """Return what has been added up."""
        self._settle()
        return self._settled

    def _settle(self) -> None:
        if self._requests:
            usage = Usage(self._into, self._out, self._cached, self._reasoning)
            self._settled += ModelUsage(usage, self._requests, *self._price(usage))
        self._into = self._out = self._cached = self._reasoning = self._requests = 0


def is_sane(usage: Usage) -> bool:
    """Whether an answer can have taken this: some servers report what can't be."""
    return 0 <= usage.cached_tokens <= usage.input_tokens and usage.output_tokens >= 0


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def merged(usages: Iterable[Mapping[str, ModelUsage]]) -> dict[str, ModelUsage]:
    """Add up what several shards report, model by model."""
    total: dict[str, ModelUsage] = {}
    for usage in usages:
        for model, spent in usage.items():
            total[model] = total.get(model, ModelUsage()) + spent
    return total
