"""Shards stay within their limits, and carry every row once."""

import random

from batchd.core.reading import Request
from batchd.core.rows import RowSet
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan, estimated_tokens

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"


def request(size: int = 100, *, model: str = "small", endpoint: str = CHAT) -> Request:
    return Request("id", endpoint, model, size, estimated_tokens(size))


def plans_for(requests: list[Request], limits: ShardLimits) -> tuple[ShardPlan, ...]:
    sharder = Sharder(limits)
    for row, one in enumerate(requests, start=1):
        sharder.add(row, one)
    return sharder.finish()


def test_a_small_file_is_one_shard():
    (plan,) = plans_for([request(10), request(30)], ShardLimits(50_000, 200_000_000))
    assert plan == ShardPlan(CHAT, "small", RowSet(((1, 2),)), 2, 40, 11)


def test_nothing_is_no_shard():
    assert plans_for([], ShardLimits(1, 1)) == ()


def test_a_shard_is_full_at_the_limit_and_not_before():
    limits = ShardLimits(max_requests=3, max_bytes=100)
    assert [p.requests for p in plans_for([request(1)] * 7, limits)] == [3, 3, 1]
    assert [p.size for p in plans_for([request(50)] * 3, limits)] == [100, 50]
    assert [p.size for p in plans_for([request(51)] * 2, limits)] == [51, 51]


def test_tokens_are_limited_for_their_model_only():
    limits = ShardLimits(100, 10_000, enqueued_tokens={"small": 50})
    assert [p.tokens for p in plans_for([request(100)] * 3, limits)] == [50, 25]
    assert [p.tokens for p in plans_for([request(100, model="big")] * 3, limits)] == [75]


def test_a_request_larger_than_its_limit_travels_alone():
    limits = ShardLimits(100, 10_000, enqueued_tokens={"small": 5})
    assert [p.requests for p in plans_for([request(100)] * 3, limits)] == [1, 1, 1]


def test_models_and_endpoints_do_not_mix_and_first_rows_give_the_order():
    plans = plans_for(
        [
            request(model="b"),
            request(model="a"),
            request(model="a", endpoint=EMBED),
            request(model="b"),
        ],
        ShardLimits(100, 10_000),
    )
    assert [(p.endpoint, p.model, list(p.rows)) for p in plans] == [
        (CHAT, "b", [1, 4]),
        (CHAT, "a", [2]),
        (EMBED, "a", [3]),
    ]


def test_every_row_travels_exactly_once_and_no_shard_is_over_its_limits():
    chance = random.Random(5)
    for _ in range(200):
        limits = ShardLimits(chance.randint(1, 9), chance.randint(60, 400), {"a": 40})
        requests = [
            request(chance.randint(1, 60), model=chance.choice("ab"))
            for _ in range(chance.randrange(60))
        ]
        plans = plans_for(requests, limits)
        assert sorted(r for p in plans for r in p.rows) == list(range(1, len(requests) + 1))
        assert [p.rows.ranges[0] for p in plans] == sorted(p.rows.ranges[0] for p in plans)
        for plan in plans:
            members = [requests[row - 1] for row in plan.rows]
            assert {m.model for m in members} == {plan.model}
            assert plan.requests == len(members) <= limits.max_requests
            assert plan.size == sum(m.size for m in members) <= limits.max_bytes
            assert plan.tokens == sum(estimated_tokens(m.size) for m in members)
            assert plan.model == "b" or plan.tokens <= 40


def embedding(inputs: int, output_bytes: int = 0) -> Request:
    return Request("id", EMBED, "e", 10, 3, inputs=inputs, output_bytes=output_bytes)


def test_texts_to_embed_are_limited_over_all_requests():
    plans = plans_for([embedding(n) for n in (3, 2, 5, 6, 1)], ShardLimits(max_inputs=5))
    assert [(p.requests, p.inputs) for p in plans] == [(2, 5), (1, 5), (1, 6), (1, 1)]


def test_what_comes_back_is_limited_too():
    plans = plans_for([embedding(1, 40)] * 5, ShardLimits(max_output_bytes=100))
    assert [p.requests for p in plans] == [2, 2, 1]


def test_only_embeddings_are_cut_by_inputs_and_answers():
    plans = plans_for([request()] * 5, ShardLimits(max_inputs=1, max_output_bytes=1))
    assert [p.requests for p in plans] == [5]


def test_expected_output_is_added_up():
    (plan,) = plans_for([Request("id", CHAT, "m", 10, 3, output_tokens=7)] * 3, ShardLimits())
    assert (plan.tokens, plan.output_tokens) == (9, 21)


def test_what_closed_the_shards_is_counted():
    sharder = Sharder(ShardLimits(max_requests=2, max_bytes=250))
    for row, size in enumerate((10, 10, 10, 245, 245), start=1):
        sharder.add(row, request(size))
    assert [plan.requests for plan in sharder.finish()] == [2, 1, 1, 1]
    assert sharder.cuts == {"requests": 1, "bytes": 2}


def test_the_rows_of_one_request_travel_together():
    sharder = Sharder(ShardLimits(max_requests=2))
    for rows in ((1, 2, 3), (4, 7, 9), (10,)):
        sharder.add(rows[0], request(10), *rows[1:])
    plans = sharder.finish()
    assert [plan.rows for plan in plans] == [
        RowSet(((1, 4), (7, 7), (9, 9))),
        RowSet(((10, 10),)),
    ]
    assert [plan.requests for plan in plans] == [2, 1]
