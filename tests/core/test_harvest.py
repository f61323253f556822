"""Every request of a shard ends with exactly one answer, whatever came back."""

import json
import random
from array import array
from typing import Any

from batchd.core.harvest import Harvest
from batchd.core.index import Entry, Source
from batchd.core.rows import RowSet
from batchd.core.usage import Charge, ModelUsage, Usage

CHAT = "/v1/chat/completions"


def harvest(*ids: str, attempts: int = 0, price: float | None = 0.5, **rules: Any) -> Harvest:
    return Harvest(
        {custom_id: row for row, custom_id in enumerate(ids, start=1)},
        attempts_before=array("H", [attempts] * (len(ids) + 1)),
        max_attempts=3,
        price=lambda model, usage: _charge(price, usage),
        **{"endpoint": CHAT, **rules},
    )


def _charge(price: float | None, usage: Usage) -> Charge:
    """`price` is that of an answer of two tokens, as `success` gives them."""
    one = None if price is None else price * usage.output_tokens / 2
    return Charge(one, one and 2 * one)


def success(custom_id: str) -> bytes:
    body: dict[str, Any] = {"model": "m", "choices": [{"message": {"content": "hi"}}]}
    body["usage"] = {"prompt_tokens": 10, "completion_tokens": 2}
    return json.dumps(
        {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    ).encode()


def failure(custom_id: str, code: str = "invalid_prompt") -> bytes:
    return json.dumps({"custom_id": custom_id, "error": {"code": code, "message": "no"}}).encode()


def test_answers_are_matched_by_id_and_their_places_kept():
    crop = harvest("a", "b", "c")
    crop.take(Source.OUTPUT, 0, success("c"))
    crop.take(Source.ERROR, 0, failure("a"))
    crop.take(Source.OUTPUT, 500, success("b"))
    assert list(crop.missing()) == []
    assert list(crop.index()) == [
        Entry(1, Source.ERROR, 0, len(failure("a"))),
        Entry(2, Source.OUTPUT, 500, len(success("b"))),
        Entry(3, Source.OUTPUT, 0, len(success("c"))),
    ]
    tally = crop.tally()
    assert (tally.kept, tally.failed, tally.again, tally.uncounted) == (2, 1, RowSet(), RowSet())
    assert tally.usage == {"m": ModelUsage(Usage(20, 4), 2, 1.0, 2.0)}
    assert tally.oddities == {}


def test_what_passes_is_tried_again_while_attempts_are_left():
    early, late = harvest("a"), harvest("a", attempts=2)
    for crop in (early, late):
        crop.take(Source.ERROR, 0, failure("a", "server_error"))
    assert (early.tally().again, early.tally().failed) == (RowSet.of([1]), 0)
    assert (late.tally().again, late.tally().failed) == (RowSet(), 1)


def test_what_did_not_run_costs_no_attempt():
    crop = harvest("a", "b", attempts=9)
    crop.take(Source.NOTES, 0, failure("a", "not_executed"), executed=False)
    crop.take(Source.NOTES, 0, failure("b", "batch_cancelled"))
    tally = crop.tally()
    assert (tally.again, tally.uncounted) == (RowSet.of([1]), RowSet.of([1, 2]))


def test_what_says_only_that_nothing_ran_is_marked_as_no_word_against_an_earlier_one():
    crop = harvest("a", "b", "c")
    crop.take(Source.NOTES, 0, failure("a", "not_executed"), executed=False)
    crop.take(Source.ERROR, 0, failure("b", "batch_cancelled"))
    crop.take(Source.NOTES, 0, failure("c", "invalid_url"), executed=False)
    assert [entry.unsent for entry in crop.index()] == [True, True, False]


def test_where_no_round_follows_nothing_is_left_to_try():
    crop = harvest("a", "b", "c", final=True)
    crop.take(Source.ERROR, 0, failure("a", "server_error"))
    crop.take(Source.NOTES, 0, failure("b", "not_executed"), executed=False)
    crop.take(Source.OUTPUT, 0, success("c"))
    tally = crop.tally()
    assert (tally.again, tally.failed, tally.kept) == (RowSet(), 2, 1)
    assert tally.uncounted == RowSet.of([2])


def test_an_answer_that_was_cut_off_is_kept_or_a_failure_that_was_paid_for():
    body = {"model": "m", "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
    body["choices"] = [{"message": {"content": "Once"}, "finish_reason": "length"}]
    line = json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": body}}).encode()
    kept, failed = harvest("a"), harvest("a", truncated_fails=True)
    for crop in (kept, failed):
        crop.take(Source.OUTPUT, 0, line)
        assert crop.tally().usage == {"m": ModelUsage(Usage(10, 2), 1, 0.5, 1.0)}
        assert crop.tally().again == RowSet()
    assert (kept.tally().kept, failed.tally().kept) == (1, 0)


def test_what_nobody_asked_for_is_counted_and_left():
    crop = harvest("a")
    for line in (b"", b"not json", b"[" * 100_000, success("z")):
        crop.take(Source.OUTPUT, 0, line)
    assert crop.tally().oddities == {"unreadable_lines": 3, "unknown_ids": 1}
    assert list(crop.missing()) == [("a", 1)]
    crop.count("missing_answers", 1)
    crop.count("missing_answers", 0)
    assert crop.tally().oddities["missing_answers"] == 1
    assert crop.tally().usage == {}


def test_the_first_of_two_answers_counts():
    crop = harvest("a")
    crop.take(Source.OUTPUT, 0, success("a"))
    crop.take(Source.OUTPUT, 9, success("a"))
    crop.take(Source.ERROR, 0, failure("a", "server_error"))
    assert list(crop.index()) == [Entry(1, Source.OUTPUT, 0, len(success("a")))]
    assert crop.tally().oddities == {"repeated_ids": 2}
    assert (crop.tally().kept, crop.tally().again) == (1, RowSet())


def test_an_answer_beats_a_failure():
    crop = harvest("a")
    crop.take(Source.ERROR, 0, failure("a", "not_executed"), executed=False)
    crop.take(Source.OUTPUT, 0, success("a"))
    tally = crop.tally()
    assert (tally.kept, tally.failed, tally.again, tally.uncounted) == (1, 0, RowSet(), RowSet())


def test_a_moderation_took_no_tokens_and_that_is_known():
    crop = harvest("a", "b", price=0.0, endpoint="/v1/moderations")
    crop.take(Source.OUTPUT, 0, moderated("a"))
    crop.take(Source.ERROR, 0, failure("b"))
    assert crop.tally().usage == {"omni": ModelUsage(Usage(), 1, 0.0, 0.0)}


def moderated(custom_id: str) -> bytes:
    body = {"model": "omni", "results": [{"flagged": False, "categories": {}}]}
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    return json.dumps(line).encode()


def test_a_price_that_nobody_knows_is_no_price():
    crop = harvest("a", price=None)
    crop.take(Source.OUTPUT, 0, success("a"))
    assert crop.tally().usage == {"m": ModelUsage(Usage(10, 2), 1, None, None)}


def test_counts_add_up_in_whatever_order_lines_come():
    chance = random.Random(12)
    for _ in range(100):
        ids = [f"id-{number}" for number in range(chance.randrange(1, 12))]
        crop = harvest(*ids)
        for _ in range(chance.randrange(25)):
            custom_id = chance.choice([*ids, "stranger"])
            line = chance.choice((success, failure, lambda i: failure(i, "server_error")))
            crop.take(Source.OUTPUT, 0, line(custom_id))
        tally, missing = crop.tally(), list(crop.missing())
        assert tally.kept + tally.failed + len(tally.again) + len(missing) == len(ids)
        assert len(crop.index()) == len(ids) - len(missing)
