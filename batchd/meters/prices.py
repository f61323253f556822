"""What an answer costs, in a batch and without one. Unknown is unknown, never 0.

Priced per answer, never per batch: beyond some 200,000 input tokens in one request a higher tier
begins, and a whole batch's sum would be taken for one such request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

from batchd import settings
from batchd.core.usage import LINEAR_BELOW, UNKNOWN, Charge, Usage, is_sane

_SAMPLE = 1_000  #: tokens priced to learn a rate
#: The list has no batch prices for embeddings, which cost half in a batch (pricing page, 2026-11).
_HALVED = "embedding"
#: Pictures and sound have token prices of their own, and `Usage` does not tell them apart.
_NOT_TEXT = ("image", "audio")
_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")  #: asked for gpt-4o-mini, gpt-4o-mini-2024-07-18 answers
_MILLION = 1e6
_ANY = "gpt-4o-mini"  #: a model to ask for: the first question takes as long as the list


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars per token."""

    fresh: float
    cached: float
    output: float

    def of(self, usage: Usage) -> float:
        fresh = usage.input_tokens - usage.cached_tokens
        return (
            fresh * self.fresh
            + usage.cached_tokens * self.cached
            + usage.output_tokens * self.output
        )


class _Listed(NamedTuple):
    """What the list says of a model."""

    batch: _Rates
    direct: _Rates


class Prices:
    """Own prices, and the list with what was learned from it: one look-up per model, not per answer."""

    def __init__(self, own: settings.Prices | None = None) -> None:
        self._own = _own_rates(own or settings.Prices())
        self._listed: dict[str, _Listed | None] = {}

    def warm_up(self) -> None:
        """Load the list, which takes a fifth of a second: the first file need not wait for it."""
        self._listed_of(_ANY)
        _list_version()

    @property
    def source(self) -> str:
        """Where the prices come from, for the receipt."""
        listed = f"genai-prices {_list_version()}, OpenAI, batch"
        return f"[prices], then {listed}" if self._own else listed

    def charge(self, model: str | None, usage: Usage, *, asked: str | None = None) -> Charge:
        """Return what one answer costs. `asked` is the model of its request.

        Servers answer with a dated name, with a path, or with none; own prices go by either name,
        the list by what has answered.
        """
        usage = _sane(usage)
        if self._own and (own := self._own_of(model) or self._own_of(asked)):
            return Charge(own.of(usage), None)  # nobody knows what it costs without a batch
        name = model or asked
        if name is None:
            return UNKNOWN
        if usage.input_tokens >= LINEAR_BELOW:
            return Charge(_price(name, usage), _price(name, usage, processing="standard"))
        listed = self._listed_of(name)
        return Charge(listed.batch.of(usage), listed.direct.of(usage)) if listed else UNKNOWN

    def _own_of(self, model: str | None) -> _Rates | None:
        if model is None:
            return None
        return self._own.get(model) or self._own.get(_DATE.sub("", model))

    def _listed_of(self, model: str) -> _Listed | None:
        try:
            return self._listed[model]
        except KeyError:
            batch, direct = _learn(model, "batch"), _learn(model, "standard")
            listed = self._listed[model] = _Listed(batch, direct) if batch and direct else None
            return listed


@cache
def _list_version() -> str:
    """Read once: its metadata are parsed as a mail is, which took longer than a small file's rest."""
    return version("genai-prices")


def _own_rates(own: settings.Prices) -> Mapping[str, _Rates]:
    """Turn prices per million into rates. That input and output come together was checked."""
    return {
        model: _Rates(
            fresh / _MILLION, own.cached.get(model, fresh) / _MILLION, own.output[model] / _MILLION
        )
        for model, fresh in own.input.items()
        if model in own.output
    }


def _sane(usage: Usage) -> Usage:
    """What can't be the price list refuses: no reason to lose answers."""
    if is_sane(usage):
        return usage  # as nearly always
    into, out = max(usage.input_tokens, 0), max(usage.output_tokens, 0)
    cached = min(max(usage.cached_tokens, 0), into)
    return Usage(input_tokens=into, output_tokens=out, cached_tokens=cached)


def _learn(model: str, processing: str) -> _Rates | None:
    samples = (
        Usage(input_tokens=_SAMPLE),
        Usage(input_tokens=_SAMPLE, cached_tokens=_SAMPLE),
        Usage(output_tokens=_SAMPLE),
    )
    fresh, cached, output = (_price(model, sample, processing=processing) for sample in samples)
    if fresh is None or cached is None or output is None:
        return None
    return _Rates(fresh / _SAMPLE, cached / _SAMPLE, output / _SAMPLE)


def _price(model: str, usage: Usage, *, processing: str = "batch") -> float | None:
    if any(kind in model for kind in _NOT_TEXT):
        return None
    # Imported late: it takes a third of a second, and most commands need no price.
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
    )
    try:
        found = genai_prices.calc_price(
            counted,
            model_ref=model,
            provider_id="openai",
            price_context={"processing": processing},
        )
    except (LookupError, ValueError):
        return None
    is_halved = processing == "batch" and _HALVED in model
    return float(found.total_price) * (0.5 if is_halved else 1.0)
