"""The nouns."""

from batchd.core.model import LIVE_SHARDS, BatchStatus, ShardState


def test_four_words_are_ends_and_an_unknown_word_is_none():
    assert [str(status) for status in BatchStatus if status.is_end] == [
        "completed",
        "failed",
        "expired",
        "cancelled",
    ]


def test_every_shard_is_live_until_it_is_collected():
    assert {*LIVE_SHARDS, ShardState.COLLECTED} == set(ShardState)
