"""Tokens are read from every dialect, and add up."""

import msgspec
import pytest
from msgspec import Raw

from batchd.core.usage import (
    LINEAR_BELOW,
    UNKNOWN,
    Charge,
    ModelUsage,
    Tab,
    Usage,
    merged,
    read_usage,
)

CHAT = (
    b'{"prompt_tokens": 10, "completion_tokens": 72, "total_tokens": 82, "prompt_tokens_details":'
    b' {"cached_tokens": 4, "audio_tokens": 0}, "completion_tokens_details":'
    b' {"reasoning_tokens": 60, "audio_tokens": 0}}'
)
RESPONSES = (
    b'{"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 72,'
    b' "output_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 82}'
)


@pytest.mark.parametrize("raw", [CHAT, RESPONSES])
def test_both_vocabularies_say_the_same(raw: bytes):
    assert read_usage(Raw(raw)) == Usage(10, 72, 4, 60)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (b'{"prompt_tokens": 8, "total_tokens": 8}', Usage(8)),
        (b'{"prompt_tokens": null, "completion_tokens": 1}', Usage(0, 1)),
        (b'{"prompt_tokens": 8, "prompt_tokens_details": null}', Usage(8)),
        (b'{"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": null}}', Usage(8)),
        (b'{"prompt_tokens": 12.0, "completion_tokens": 3.0}', Usage(12, 3)),
        (b'{"prompt_tokens": "12"}', Usage(12)),
        (b"{}", Usage()),
    ],
)
def test_parts_may_be_missing_and_numbers_may_be_dressed(raw: bytes, usage: Usage):
    assert read_usage(Raw(raw)) == usage


@pytest.mark.parametrize(
    "raw", [b"null", b'"many"', b"[]", b"12", b'{"prompt_tokens": "many"}', b"", b'{"a": "\xff']
)
def test_what_is_no_usage_is_none(raw: bytes):
    assert read_usage(Raw(raw)) is None


def test_usage_adds_up_member_by_member():
    assert Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40) == Usage(11, 22, 33, 44)


def test_one_unknown_price_makes_the_sum_unknown_and_never_zero():
    known, unknown = ModelUsage(Usage(1), 1, 0.5), ModelUsage(Usage(2), 1, None)
    assert (known + known).cost == 1.0
    assert (known + unknown) == ModelUsage(Usage(3), 2, None)
    assert (unknown + known).cost is None
    own = ModelUsage(Usage(4), 1, 0.25, None)  # its price is known, but not the direct one
    assert ((known + own).cost, (known + own).direct_cost) == (0.75, None)


def test_shards_are_merged_model_by_model():
    one = {"a": ModelUsage(Usage(1), 1, 0.5)}
    two = {"a": ModelUsage(Usage(2), 2, 0.25), "b": ModelUsage(Usage(4), 1, None)}
    assert merged([one, {}, two]) == {
        "a": ModelUsage(Usage(3), 3, 0.75),
        "b": ModelUsage(Usage(4), 1, None),
    }
    assert one == {"a": ModelUsage(Usage(1), 1, 0.5)}


def test_usage_survives_the_ledger():
    usage = ModelUsage(Usage(1, 2, 3, 4), 5, None)
    assert msgspec.json.decode(msgspec.json.encode(usage), type=ModelUsage) == usage


def _linear(usage: Usage) -> Charge:
    """Half of it without a batch; what can't be is free."""
    cost = usage.input_tokens / 4 + usage.output_tokens
    return Charge(cost, 2 * cost) if usage.cached_tokens <= usage.input_tokens else Charge(0.0, 0.0)


def test_a_tab_is_the_sum_of_its_answers():
    answers = [
        Usage(10, 2, 4, 1),
        Usage(3, 4),
        Usage(1, 1, 2),  # more of it cached than there was
        Usage(60_000),
        Usage(60_000, 8),
        Usage(2_000_000, 1),
        Usage(5, 5),
    ]
    tab, sum_ = Tab(_linear), ModelUsage()
    for usage in answers:
        tab.add(usage)
        sum_ += ModelUsage(usage, 1, *_linear(usage))
        assert tab.total() == sum_
    together = Tab(_linear)
    for usage in answers:
        together.add(usage)
    assert together.total() == sum_


def test_what_is_priced_together_is_below_every_tier():
    priced = list[Usage]()

    def price(usage: Usage) -> Charge:
        priced.append(usage)
        return Charge(0.0, None)

    tab = Tab(price)
    for tokens in (30_000, 60_000, 20_000, 200_000, 7, 99_999):
        tab.add(Usage(tokens))
    assert tab.total() == ModelUsage(Usage(410_006), 6, 0.0, None)
    assert [usage.input_tokens for usage in priced] == [90_000, 20_000, 200_000, 7, 99_999]


def test_one_unknown_price_makes_a_tab_unknown():
    tab = Tab(lambda usage: Charge(1.0, 2.0) if usage.input_tokens < LINEAR_BELOW else UNKNOWN)
    tab.add(Usage(1))
    assert tab.total() == ModelUsage(Usage(1), 1, 1.0, 2.0)
    tab.add(Usage(LINEAR_BELOW))
    tab.add(Usage(1))
    assert tab.total() == ModelUsage(Usage(LINEAR_BELOW + 2), 3, None, None)
