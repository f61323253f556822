"""What a batch is expected to cost, before anything is sent. Unknown is unknown, never 0."""

from __future__ import annotations

from collections.abc import Iterable

from batchd.core.contents import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES
from batchd.core.limits import canonical
from batchd.core.sharding import ShardPlan
from batchd.core.usage import Usage
from batchd.meters.prices import Prices

#: Pictures and films are not billed by what is known of a request.
_BILLED_BY_TOKENS = frozenset({CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MODERATIONS})
#: Up to here a price is so much per token, so that a sum can be priced; meters/prices.py.
_LINEAR_BELOW, _SAMPLE = 100_000, 1_000
#: "50 % cost discount compared to synchronous APIs" for input and output alike (Batch guide).
DIRECT = 2.0


def expected_cost(plan: ShardPlan, prices: Prices) -> float | None:
    """Return US dollars for one shard, at batch prices; None where the price is unknown.

    Nothing is expected to be cached. Requests so large that a higher tier begins are priced as so
    many of their average: which of them are above it is not known here.
    """
    if canonical(plan.endpoint) not in _BILLED_BY_TOKENS:
        return None
    average = Usage(-(-plan.tokens // plan.requests), -(-plan.output_tokens // plan.requests))
    if average.input_tokens >= _LINEAR_BELOW:
        each = prices.cost(plan.model, average)
        return None if each is None else each * plan.requests
    into = prices.cost(plan.model, Usage(input_tokens=_SAMPLE))
    out = prices.cost(plan.model, Usage(output_tokens=_SAMPLE))
    if into is None or out is None:
        return None
    return (plan.tokens * into + plan.output_tokens * out) / _SAMPLE


def total(costs: Iterable[float | None]) -> float | None:
    """Add up costs; one unknown makes the sum unknown."""
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)
