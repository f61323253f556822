"""Tokens, as the answers themselves report them, added up per model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def merged(usages: Iterable[Mapping[str, ModelUsage]]) -> dict[str, ModelUsage]:
    """Add up what several shards report, model by model."""
    total: dict[str, ModelUsage] = {}
    for usage in usages:
        for model, spent in usage.items():
            total[model] = total.get(model, ModelUsage()) + spent
    return total
