"""What an answer costs, at batch prices. Unknown is unknown, never 0.

Priced per answer, never per batch: beyond some 200,000 input tokens in one request a higher tier
begins, and a whole batch's sum would be taken for one such request.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from batchd.core.usage import Usage

#: Below this many input tokens every model's price is linear (the lowest tier begins at 128,000).
_LINEAR_BELOW = 100_000
_SAMPLE = 1_000  #: tokens priced to learn a rate
#: The list has no batch prices for embeddings, which cost half in a batch (pricing page, 2026-11).
_HALVED = "embedding"


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars per token."""

    fresh: float
    cached: float
    output: float


class Prices:
    """The price list, with what was learned from it: one look-up per model, not per answer."""

    def __init__(self) -> None:
        self._rates: dict[str, _Rates | None] = {}

    @property
    def source(self) -> str:
        """Where the prices come from, for the receipt."""
        return f"genai-prices {version('genai-prices')}, OpenAI, batch"

    def cost(self, model: str | None, usage: Usage) -> float | None:
        """Return what one answer costs in US dollars; None where the model's price is unknown."""
        if model is None:
            return None
        usage = _sane(usage)
        if usage.input_tokens >= _LINEAR_BELOW:
            return _price(model, usage)
        if model not in self._rates:
            self._rates[model] = _learn(model)
        rates = self._rates[model]
        if rates is None:
            return None
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * rates.fresh
            + usage.cached_tokens * rates.cached
            + usage.output_tokens * rates.output
        )


def _sane(usage: Usage) -> Usage:
    """What some servers report can't be, and the price list refuses it: no reason to lose answers."""
    into, out = max(usage.input_tokens, 0), max(usage.output_tokens, 0)
    cached = min(max(usage.cached_tokens, 0), into)
    return Usage(input_tokens=into, output_tokens=out, cached_tokens=cached)


def _learn(model: str) -> _Rates | None:
    fresh = _price(model, Usage(input_tokens=_SAMPLE))
    cached = _price(model, Usage(input_tokens=_SAMPLE, cached_tokens=_SAMPLE))
    output = _price(model, Usage(output_tokens=_SAMPLE))
    if fresh is None or cached is None or output is None:
        return None
    return _Rates(fresh / _SAMPLE, cached / _SAMPLE, output / _SAMPLE)


def _price(model: str, usage: Usage) -> float | None:
    # Imported late: it takes an eighth of a second, and only a finished batch needs it.
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
    )
    try:
        found = genai_prices.calc_price(
            counted, model_ref=model, provider_id="openai", price_context={"processing": "batch"}
        )
    except (LookupError, ValueError):
        return None
    return float(found.total_price) * (0.5 if _HALVED in model else 1.0)
