"""What an answer costs, in a batch and without one; unknown is unknown."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import partial

import pytest

from batchd import settings
from batchd.core.usage import UNKNOWN, Tab, Usage
from batchd.meters.prices import Prices


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


def cost(prices: Prices, model: str | None, usage: Usage) -> float | None:
    return prices.charge(model, usage).batch


#: Five models, calculated by hand: US dollars per million tokens from OpenAI's pricing page as read
#: on 2026-11-05 (reference K.2), batch and direct. In a batch a cached token costs half of its own
#: price for GPT-5 and later, and the whole of it for gpt-4.1.
BY_HAND = {
    # 1,000 in, 400 of them cached; 300 out, 200 of them reasoning, which is output like any other.
    # gpt-5: batch 0.625 / 0.0625 / 5, direct 1.25 / 0.125 / 10
    "gpt-5": (
        Usage(1_000, 300, 400, 200),
        (600 * 0.625 + 400 * 0.0625 + 300 * 5) / 1e6,  # 375 + 25 + 1,500 = 0.0019
        (600 * 1.25 + 400 * 0.125 + 300 * 10) / 1e6,  # 750 + 50 + 3,000 = 0.0038
    ),
    # gpt-4.1: batch 1 / 0.50 / 4, direct 2 / 0.50 / 8
    "gpt-4.1": (
        Usage(1_000, 300, 400),
        (600 * 1 + 400 * 0.50 + 300 * 4) / 1e6,  # 600 + 200 + 1,200 = 0.002
        (600 * 2 + 400 * 0.50 + 300 * 8) / 1e6,  # 1,200 + 200 + 2,400 = 0.0038
    ),
    # gpt-4o-mini: batch 0.075 / 0.075 / 0.30, direct 0.15 / 0.075 / 0.60
    "gpt-4o-mini-2024-07-18": (
        Usage(20_000, 1_000, 10_000),
        (10_000 * 0.075 + 10_000 * 0.075 + 1_000 * 0.30) / 1e6,  # 750 + 750 + 300 = 0.0018
        (10_000 * 0.15 + 10_000 * 0.075 + 1_000 * 0.60) / 1e6,  # 1,500 + 750 + 600 = 0.00285
    ),
    # text-embedding-3-large: batch 0.065, direct 0.13
    "text-embedding-3-large": (Usage(8_000), 8_000 * 0.065 / 1e6, 8_000 * 0.13 / 1e6),
    # gpt-6.1-sol: batch 1 / 5, direct 2 / 10; beyond 272,000 in, twice the input and 1.5 times the
    # output price, for all of that request.
    "gpt-6.1-sol": (
        Usage(300_000, 2_000),
        (300_000 * 2 + 2_000 * 7.5) / 1e6,  # 600,000 + 15,000 = 0.615
        (300_000 * 4 + 2_000 * 15) / 1e6,  # 1,200,000 + 30,000 = 1.23
    ),
}


@pytest.mark.parametrize("model", BY_HAND)
def test_five_models_cost_what_a_hand_calculation_says(prices, model: str):
    usage, batch, direct = BY_HAND[model]
    assert prices.charge(model, usage) == (pytest.approx(batch), pytest.approx(direct))


def test_the_higher_tier_is_for_one_long_request_not_for_many_short_ones(prices):
    """Four lines of 100,000 tokens are 400,000 at the usual price: 0.4 dollars, not 0.8."""
    each = [cost(prices, "gpt-6.1-sol", Usage(100_000)) for _ in range(4)]
    assert sum(each) == pytest.approx(400_000 * 1 / 1e6)
    assert cost(prices, "gpt-6.1-sol", Usage(400_000)) == pytest.approx(400_000 * 2 / 1e6)


def test_moderation_is_free_and_that_is_known(prices):
    assert prices.charge("omni-moderation-latest", Usage()) == (0.0, 0.0)


OWN = Prices(
    settings.Prices(
        input={"mine": 2.0, "gpt-4o-mini": 1.0},
        cached={"mine": 0.5},
        output={"mine": 4.0, "gpt-4o-mini": 3.0},
    )
)


def test_own_prices_are_per_million_tokens_in_a_batch():
    """600 fresh at 2, 400 cached at 0.5, 100 out at 4; what it costs directly nobody has said."""
    charge = OWN.charge("mine", Usage(1_000, 100, 400))
    assert charge == (pytest.approx((600 * 2 + 400 * 0.5 + 100 * 4) / 1e6), None)
    assert OWN.source.startswith("[prices], then genai-prices ")


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_own_prices_are_stronger_than_the_list_and_know_dated_names(model: str):
    """Without a price of its own a cached token costs what any input does."""
    assert cost(OWN, model, Usage(1_000, 1_000, 500)) == pytest.approx(
        (1_000 * 1 + 1_000 * 3) / 1e6
    )


def test_own_prices_go_by_the_model_that_was_asked_for_too():
    """Servers answer with the path of a file, or a deployment's real model."""
    asked = OWN.charge("/models/weights", Usage(1_000_000), asked="mine")
    assert asked.batch == pytest.approx(2.0)


def test_an_answer_without_a_model_is_that_of_the_one_that_was_asked(prices):
    usage = Usage(1_000)
    assert prices.charge(None, usage, asked="gpt-5") == prices.charge("gpt-5", usage)
    assert prices.charge("who-knows", usage, asked="gpt-5") == UNKNOWN


def test_a_batch_costs_half_of_the_list(prices):
    """gpt-4o-mini: 0.15 and 0.60 dollars per million tokens (pricing page), in a batch half."""
    million = Usage(input_tokens=10_000, output_tokens=10_000)
    assert cost(prices, "gpt-4o-mini", million) == pytest.approx((0.075 + 0.30) / 100)


def test_an_embedding_costs_half_too(prices):
    halved = cost(prices, "text-embedding-3-small", Usage(input_tokens=10_000))
    assert halved == pytest.approx(0.01 / 100)


def test_cached_tokens_never_cost_more(prices):
    fresh = cost(prices, "gpt-4o-mini", Usage(input_tokens=1000))
    cached = cost(prices, "gpt-4o-mini", Usage(input_tokens=1000, cached_tokens=1000))
    assert 0 < cached <= fresh


def test_the_dated_name_in_the_answer_has_the_same_price(prices):
    usage = Usage(input_tokens=1000, output_tokens=10)
    assert cost(prices, "gpt-4o-mini-2024-07-18", usage) == cost(prices, "gpt-4o-mini", usage)


@pytest.mark.parametrize(
    "model", [None, "", "no-such-model", "\x00", "x" * 5000, "(", "ft:gpt:x", "gpt-image-1"]
)
def test_an_unknown_model_costs_an_unknown_amount(prices, model):
    assert prices.charge(model, Usage(input_tokens=10)) == UNKNOWN


@pytest.mark.parametrize("tokens", [10, 99_999, 100_000, 250_000])
def test_a_learned_rate_says_what_the_list_says(prices, tokens):
    one = cost(prices, "gpt-4o-mini", Usage(input_tokens=tokens, output_tokens=7))
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
    assert cost(prices, "gpt-4o-mini", usage) >= 0


def test_the_source_is_named(prices):
    assert prices.source.startswith("genai-prices ")


WARMING_UP = """
import sys
from functools import partial
from batchd.meters.prices import Prices

prices = Prices()
assert "genai_prices" not in sys.modules, "imported before anything needs it"
prices.warm_up()
assert "genai_prices" in sys.modules
"""


def test_the_list_is_loaded_when_it_is_told_to_and_not_before():
    subprocess.run([sys.executable, "-c", WARMING_UP], check=True)


def test_a_tab_costs_what_its_answers_cost_one_by_one(prices: Prices):
    """Answers are priced together as long as that is the same; a higher tier is one answer's own."""
    chance = random.Random(5)
    for model in BY_HAND:
        tab, singly = Tab(partial(prices.charge, model)), 0.0
        for into in (chance.choice((900, 40_000, 90_000, 300_000)) for _ in range(200)):
            usage = Usage(into, chance.randrange(2_000), chance.randrange(-5, into + 5))
            tab.add(usage)
            singly += cost(prices, model, usage) or 0.0
        assert tab.total().cost == pytest.approx(singly)
