"""What a job will cost is known before it is sent, or it is said not to be."""

import pytest

from batchd import settings
from batchd.core.rows import RowSet
from batchd.core.sharding import ShardPlan
from batchd.core.usage import UNKNOWN, Charge, Usage
from batchd.meters.estimates import expected, together, total
from batchd.meters.prices import Prices

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


def plan(
    model: str, requests: int, tokens: int, output: int = 0, endpoint: str = CHAT
) -> ShardPlan:
    rows = RowSet(((1, requests),))
    return ShardPlan(endpoint, model, rows, requests, 100, tokens, output_tokens=output)


@pytest.mark.parametrize(
    ("shard", "dollars"),
    [
        # Per million tokens in a batch (pricing page, 2026-11): gpt-4o-mini 0.075 and 0.30,
        # gpt-4.1-nano 0.05 and 0.20, gpt-5 0.625 and 5, text-embedding-3-small 0.01.
        (plan("gpt-4o-mini", 10_000, 3_000_000, 500_000), 3 * 0.075 + 0.5 * 0.30),
        (plan("gpt-4.1-nano", 7, 70, 7), 70e-6 * 0.05 + 7e-6 * 0.20),
        (plan("gpt-5", 1, 99_999, 1), 99_999e-6 * 0.625 + 5e-6),
        (plan("text-embedding-3-small", 50_000, 5_000_000, 0, EMBED), 5 * 0.01),
        (plan("gpt-4o-mini", 10, 1_000_000, 0, "/chat/completions"), 0.075),
    ],
)
def test_it_is_what_the_hand_comes_to(prices, shard, dollars):
    charge = expected(shard, prices)
    assert charge.batch == pytest.approx(dollars)
    assert charge.direct == pytest.approx(dollars * 2)


def test_a_large_sum_of_small_requests_is_in_no_higher_tier(prices):
    """Priced as one request, 400,000 tokens of gpt-6.1-sol would cost twice as much."""
    small = expected(plan("gpt-6.1-sol", 400, 400_000), prices)
    large = expected(plan("gpt-6.1-sol", 1, 400_000), prices)
    assert small.batch == pytest.approx(0.4)
    assert large.batch == pytest.approx(0.8)
    assert large == prices.charge("gpt-6.1-sol", Usage(input_tokens=400_000))


@pytest.mark.parametrize(
    "shard",
    [
        plan("nobodys-model", 1, 10),
        plan("nobodys-model", 1, 200_000),
        plan("gpt-image-1", 1, 10, 0, "/v1/images/generations"),
        plan("sora-2", 1, 10, 0, "/v1/videos"),
    ],
)
def test_an_unknown_price_is_unknown(prices, shard):
    assert expected(shard, prices) == UNKNOWN


def test_own_prices_come_first_and_tell_nothing_of_direct_calls():
    own = Prices(settings.Prices(input={"mine": 1.0}, output={"mine": 2.0}))
    assert expected(plan("mine", 10, 1_000_000, 500_000), own) == Charge(pytest.approx(2.0), None)


def test_charges_add_up():
    assert together([Charge(1, 2), Charge(3, None)]) == Charge(4, None)


def test_one_unknown_makes_the_sum_unknown():
    assert total([0.1, None]) is None
    assert total([0.1, 0.2]) == pytest.approx(0.3)
    assert total([]) == 0
