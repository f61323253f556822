"""What a batch is expected to cost, before anything is sent. Unknown is unknown, never 0."""

from __future__ import annotations

from collections.abc import Iterable

from batchd.core.contents import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES
from batchd.core.limits import canonical
from batchd.core.sharding import ShardPlan
from batchd.core.usage import UNKNOWN, Charge, Usage
from batchd.meters.prices import Prices

#: Pictures and films are not billed by what is known of a request.
_BILLED_BY_TOKENS = frozenset({CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MODERATIONS})
#: Up to here a price is so much per token, so that a sum can be priced; meters/prices.py.
_LINEAR_BELOW, _SAMPLE = 100_000, 1_000


def expected(plan: ShardPlan, prices: Prices) -> Charge:
    """Return what one shard is expected to cost, in a batch and without one.

    Nothing is expected to be cached. Requests so large that a higher tier begins are priced as so
    many of their average: which of them are above it is not known here.
    """
    if canonical(plan.endpoint) not in _BILLED_BY_TOKENS:
        return UNKNOWN
    average = Usage(-(-plan.tokens // plan.requests), -(-plan.output_tokens // plan.requests))
    if average.input_tokens >= _LINEAR_BELOW:
        each = prices.charge(plan.model, average)
        return Charge(*(_times(price, plan.requests) for price in each))
    into = prices.charge(plan.model, Usage(input_tokens=_SAMPLE))
    out = prices.charge(plan.model, Usage(output_tokens=_SAMPLE))
    tokens, output_tokens = plan.tokens / _SAMPLE, plan.output_tokens / _SAMPLE
    return Charge(
        total((_times(into.batch, tokens), _times(out.batch, output_tokens))),
        total((_times(into.direct, tokens), _times(out.direct, output_tokens))),
    )


def together(charges: Iterable[Charge]) -> Charge:
    """Add up charges; one unknown makes a sum unknown."""
    several = list(charges)
    return Charge(total(one.batch for one in several), total(one.direct for one in several))


def total(costs: Iterable[float | None]) -> float | None:
    """Add up costs; one unknown makes the sum unknown."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def _times(price: float | None, count: float) -> float | None:
    return None if price is None else price * count
