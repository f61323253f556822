"""Who may be sent now, who waits, and what for."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from batchd.core.admission import (
    PATIENCE,
    Admission,
    Created,
    Limits,
    Load,
    Resting,
    admit,
    in_turn,
)
from batchd.core.model import ShardState
from batchd.core.subjects import Shard

NOW = 1_800_000_000.0
LIMITS = Limits(max_open=100, max_per_hour=2_000, embeddings=1_000_000)
BLANK: dict[str, Any] = dict.fromkeys((field.name for field in fields(Shard)), None)


def shard(
    job: str, number: int = 1, *, tokens: int = 10, waited: float = 0.0, **said: Any
) -> Shard:
    """A planned shard of 5 requests, due now."""
    usual = {
        "id": f"{job}-{number}",
        "job": job,
        "number": number,
        "state": ShardState.PLANNED,
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "requests": 5,
        "tokens": tokens,
        "due_at": NOW,
        "planned_at": NOW - waited,
    }
    return Shard(**{**BLANK, **usual, **said})


def ask(
    *queue: Shard,
    load: Load | None = None,
    created: int = 0,
    resting: Resting | None = None,
    **limits: Any,
) -> Admission:
    return admit(
        queue,
        load=load or Load(),
        created=Created(created, NOW - 60 if created else None),
        limits=replace(LIMITS, **limits),
        resting=resting,
        now=NOW,
    )


def ids(shards: Any) -> list[str]:
    return [shard.id for shard in shards]


def there(tokens: int = 0, *, batches: int = 1, embeddings: int = 0) -> Load:
    return Load(batches, {"m": tokens}, embeddings)


def test_what_has_room_goes_in_its_order():
    assert ids(ask(shard("a"), shard("b"), shard("c")).admitted) == ["a-1", "b-1", "c-1"]


def test_no_more_batches_are_open_than_allowed():
    found = ask(shard("a"), shard("b"), shard("c"), load=there(batches=1), max_open=3)
    assert ids(found.admitted) == ["a-1", "b-1"]
    assert found.waits == {"c-1": "waiting-for-room"}


def test_no_more_are_created_within_an_hour_than_allowed():
    found = ask(shard("a"), shard("b"), created=9, max_per_hour=10)
    assert ids(found.admitted) == ["a-1"]
    assert found.waits == {"b-1": "waiting-for-the-hour"}


@pytest.mark.parametrize("kind", ["configured", "learned"])
def test_the_queue_of_a_model_is_never_overfilled(kind):
    queue = [shard("a", tokens=60), shard("b", tokens=30), shard("c", tokens=20)]
    found = ask(*queue, load=there(20), **{kind: {"m": 100}})
    assert ids(found.admitted) == ["a-1", "c-1"]
    assert found.waits == {"b-1": "waiting-for-tokens"}


def test_of_what_was_configured_and_what_was_learned_the_smaller_counts():
    limits = replace(LIMITS, configured={"m": 50, "n": 10}, learned={"m": 40, "o": 7})
    assert [limits.tokens(model) for model in "mnop"] == [40, 10, 7, None]
    assert limits.all_tokens() == {"m": 40, "n": 10, "o": 7}


def test_another_models_shards_pass_by():
    found = ask(shard("a"), shard("b", model="n"), load=there(95), configured={"m": 100})
    assert ids(found.admitted) == ["b-1"]


def test_one_larger_than_a_configured_limit_goes_when_nothing_else_is_there():
    """The limit may be wrong, and the provider's own refusal says the right one."""
    assert ids(ask(shard("a", tokens=101), configured={"m": 100}).admitted) == ["a-1"]
    assert ask(shard("a", tokens=101), load=there(1), configured={"m": 100}).waits


def test_one_larger_than_the_provider_named_is_to_be_cut_unless_it_is_one_request():
    huge, alone = shard("a", tokens=101), shard("b", tokens=101, requests=1)
    found = ask(huge, alone, learned={"m": 100})
    assert ids(found.too_large) == ["a-1"]
    assert ids(found.admitted) == ["b-1"]


def test_embeddings_have_a_limit_of_requests_over_all_models():
    texts = {"endpoint": "/v1/embeddings", "requests": 40}
    queue = [shard("a", **texts), shard("b", model="n", **texts), shard("c")]
    found = ask(*queue, load=there(embeddings=30), embeddings=100)
    assert ids(found.admitted) == ["a-1", "c-1"]
    assert found.waits == {"b-1": "waiting-for-embeddings"}


def test_what_is_held_or_paused_is_not_sent():
    found = ask(shard("a"), shard("b"), resting=Resting(held={"a"}))
    assert ids(found.admitted) == ["b-1"]
    assert found.waits == {"a-1": "held"}
    found = ask(shard("a"), shard("b"), resting=Resting(is_paused=True, held={"a"}))
    assert found.waits == {"a-1": "held", "b-1": "submission-paused"}


def test_a_small_shard_passes_one_that_there_is_no_room_for():
    queue = [shard("huge", tokens=90), shard("small", tokens=10)]
    found = ask(*queue, load=there(50), configured={"m": 100})
    assert ids(found.admitted) == ["small-1"]


def test_once_the_first_in_line_has_waited_long_enough_nothing_of_its_model_passes_it():
    """Or a stream of small files would starve a large one for ever."""
    huge = shard("huge", tokens=90, waited=PATIENCE)
    queue = [huge, shard("small", tokens=10), shard("other", model="n")]
    found = ask(*queue, load=there(50), configured={"m": 100})
    assert ids(found.admitted) == ["other-1"]
    assert found.waits == {"huge-1": "waiting-for-tokens", "small-1": "waiting-for-tokens"}
    assert ids(ask(*queue, load=there(10), configured={"m": 100}).admitted) == ["huge-1", "other-1"]


def test_likewise_over_all_models_of_embeddings():
    texts = {"endpoint": "/v1/embeddings"}
    huge = shard("huge", requests=90, waited=PATIENCE, **texts)
    small = shard("small", requests=10, model="n", **texts)
    found = ask(huge, small, shard("chat"), load=there(embeddings=50), embeddings=100)
    assert ids(found.admitted) == ["chat-1"]
    assert set(found.waits.values()) == {"waiting-for-embeddings"}


def test_one_that_the_provider_refused_for_room_keeps_its_place_while_it_waits():
    refused = shard("huge", reason="no-room", due_at=NOW + 60, waited=PATIENCE)
    found = ask(refused, shard("small"))
    assert ids(found.admitted) == []
    assert found.waits == {"small-1": "waiting-for-tokens"}
    young = replace(refused, planned_at=NOW)
    assert ids(ask(young, shard("small")).admitted) == ["small-1"]


def test_what_waits_for_another_reason_keeps_nobody_waiting():
    put_off = shard("a", reason="denied", due_at=NOW + 60, waited=PATIENCE)
    assert ids(ask(put_off, shard("b")).admitted) == ["b-1"]


def test_one_of_each_job_and_model_goes_before_a_second_of_any():
    queue = [shard("a", number) for number in (1, 2, 3)] + [shard("b", 1), shard("b", 2)]
    other = shard("a", 4, model="n")
    assert ids(in_turn([*queue, other])) == ["a-1", "a-4", "b-1", "a-2", "b-2", "a-3"]


def test_what_a_job_has_at_the_provider_were_its_turns_and_what_has_ended_is_none():
    there = [shard("a", n, state=ShardState.OPEN) for n in (1, 2)]
    over = [shard("c", n, state=ShardState.ENDED) for n in (1, 2)]
    waiting = [shard("a", 3), shard("b", 1), shard("b", 2), shard("c", 3)]
    assert ids(in_turn([*there, *over, *waiting])) == ["b-1", "c-3", "b-2", "a-3"]


def test_in_every_mixture_the_limits_hold_and_nothing_waits_without_a_reason():
    dice = random.Random(4)
    for _ in range(200):
        queue = in_turn(
            shard(
                f"j{dice.randrange(9)}",
                number,
                tokens=dice.randrange(1, 60),
                model=dice.choice("mn"),
                waited=dice.choice([0.0, PATIENCE]),
            )
            for number in range(40)
        )
        limit, most = dice.randrange(60, 200), dice.randrange(1, 30)
        found = ask(*queue, configured={"m": limit}, max_open=most)
        admitted = Load.of(found.admitted)
        assert admitted.tokens.get("m", 0) <= limit
        assert admitted.batches <= most
        assert {*ids(found.admitted), *found.waits} == set(ids(queue))


def test_ten_times_the_shards_cost_ten_times_the_work():
    """Not the square of it: a queue of thousands is looked through at each turn."""
    calls = {}
    for jobs in (10, 100):
        queue = [*in_turn([shard(f"{job:04}", n) for job in range(jobs) for n in range(100)])]
        calls[jobs], found = calls_of(lambda queue=queue: ask(*queue, configured={"m": 500}))
        assert len(found.admitted) == 50
    assert calls[100] < 12 * calls[10]


def calls_of(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many functions were called; no clock says anything on a busy machine."""
    counts: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, _: counts.update([event]))
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return counts["call"] + counts["c_call"], result
