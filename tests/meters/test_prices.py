"""What an answer costs, at batch prices; unknown is unknown."""

from __future__ import annotations

import pytest

from batchd.core.usage import Usage
from batchd.meters.prices import Prices


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


def test_a_batch_costs_half_of_the_list(prices):
    """gpt-4o-mini: 0.15 and 0.60 dollars per million tokens (pricing page), in a batch half."""
    million = Usage(input_tokens=10_000, output_tokens=10_000)
    assert prices.cost("gpt-4o-mini", million) == pytest.approx((0.075 + 0.30) / 100)


def test_an_embedding_costs_half_too(prices):
    cost = prices.cost("text-embedding-3-small", Usage(input_tokens=10_000))
    assert cost == pytest.approx(0.01 / 100)


def test_cached_tokens_never_cost_more(prices):
    fresh = prices.cost("gpt-4o-mini", Usage(input_tokens=1000))
    cached = prices.cost("gpt-4o-mini", Usage(input_tokens=1000, cached_tokens=1000))
    assert 0 < cached <= fresh


def test_the_dated_name_in_the_answer_has_the_same_price(prices):
    usage = Usage(input_tokens=1000, output_tokens=10)
    assert prices.cost("gpt-4o-mini-2024-07-18", usage) == prices.cost("gpt-4o-mini", usage)


@pytest.mark.parametrize("model", [None, "", "no-such-model", "\x00", "x" * 5000, "(", "ft:gpt:x"])
def test_an_unknown_model_costs_an_unknown_amount(prices, model):
    assert prices.cost(model, Usage(input_tokens=10)) is None


@pytest.mark.parametrize("tokens", [10, 99_999, 100_000, 250_000])
def test_a_learned_rate_says_what_the_list_says(prices, tokens):
    one = prices.cost("gpt-4o-mini", Usage(input_tokens=tokens, output_tokens=7))
    assert one == pytest.approx(tokens * 0.075e-6 + 7 * 0.30e-6)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=10, cached_tokens=50),
        Usage(input_tokens=200_000, cached_tokens=300_000),
        Usage(input_tokens=-5, output_tokens=-7, cached_tokens=-1),
    ],
)
def test_what_can_not_be_is_no_reason_to_lose_an_answer(prices, usage):
    """Some servers report more cached tokens than there were; the price list raises for that."""
    assert prices.cost("gpt-4o-mini", usage) >= 0


def test_the_source_is_named(prices):
    assert prices.source.startswith("genai-prices ")
