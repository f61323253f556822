"""The receipt's counts add up, and what is unknown is not zero."""

from dataclasses import replace

import pytest

from batchd.core.answers import Answer, Soft
from batchd.core.model import BatchStatus, CancelWhy, Counts, JobState, ShardState
from batchd.core.receipt import Account, DeliveredFile, receipt, receipt_as_text, rfc3339
from batchd.core.rows import RowSet
from batchd.core.subjects import Job, Shard
from batchd.core.unusable import ODDITY as UNUSABLE
from batchd.core.usage import ModelUsage, Usage

JOB = Job(
    id="0aaaaa",
    state=JobState.SETTLED,
    name=b"caf\xe9.jsonl",
    task="",
    size=100,
    owner=1000,
    round=1,
    joined=None,
    claimed_at=1_795_000_000.0,
    state_at=1_795_000_100.0,
    sha256="ab12",
    requests=3,
    signature="sig",
    repairs={},
    verbatim=True,
    reason=None,
    problems=None,
    folder=None,
    outcome=None,
    summary={},
    delivered_at=None,
)
SHARD = Shard(
    id="0aaaaa-1",
    job="0aaaaa",
    number=1,
    round=1,
    state=ShardState.COLLECTED,
    endpoint="/v1/responses",
    model="m",
    rows=RowSet.of([1, 2, 3]),
    requests=3,
    size=100,
    tokens=25,
    tries=0,
    due_at=0.0,
    file_id="file-1",
    batch="batch_1",
    status=BatchStatus.COMPLETED,
    counts=Counts(3, 2, 1),
    output_file="file-2",
    error_file=None,
    errors=(),
    planned_at=1_795_000_001.0,
    submit_started_at=1_795_000_002.0,
    opened_at=1_795_000_003.5,
    ended_at=1_795_000_060.0,
    completed_at=1_795_000_050.0,
    collected_at=1_795_000_061.0,
    again=RowSet(),
    uncounted=RowSet(),
    kept=2,
    failed=1,
    usage={"m": ModelUsage(Usage(1000, 20, 5, 8), 2, 0.25, 0.5)},
    oddities={},
    reason=None,
)
FILE = DeliveredFile("results.jsonl", 1234, "cd34")


def account(*codes: str | None, message: str = "no") -> Account:
    counted = Account()
    for row, code in enumerate(codes, start=1):
        counted.add(row, Answer(f"id-{row}", code=code, message=message if code else None))
    return counted


def receipt_of(counted: Account, *shards: Shard, job: Job = JOB):
    return receipt(job, shards, counted, [FILE], now=1_795_000_100.0, price_source="prices 1")


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ([None, None], "completed"),
        ([None, "odd"], "partial"),
        ([None, "batch_cancelled"], "partial"),
        (["odd", "batch_expired"], "failed"),
        (["batch_cancelled", "odd"], "failed"),
        (["batch_cancelled", "batch_cancelled"], "cancelled"),
    ],
)
def test_how_it_ended_is_one_word(codes: list[str | None], outcome: str):
    assert account(*codes).outcome == outcome


def test_four_counts_add_up_to_the_total():
    requests = account(None, None, "odd", "batch_expired", "batch_cancelled").requests
    assert requests == {"total": 5, "succeeded": 2, "failed": 1, "expired": 1, "cancelled": 1}


def test_failures_are_told_by_code_with_their_first_lines():
    errors = account(*["rare"], *["odd"] * 8, None).errors
    assert list(errors) == ["odd", "rare"]
    assert errors["odd"] == {"count": 8, "first_lines": [2, 3, 4, 5, 6], "message": "no"}


@pytest.mark.parametrize(
    ("codes", "why", "outcome"),
    [
        ([None, "batch_cancelled"], CancelWhy.ASKED, "cancelled"),
        ([None, "rate_limit_exceeded"], CancelWhy.DEADLINE, "cancelled"),
        (["odd", "batch_cancelled"], CancelWhy.ASKED, "cancelled"),
        ([None, None], CancelWhy.ASKED, "completed"),
        (["model_not_found", None], CancelWhy.UNUSABLE_MODEL, "partial"),
        (["model_not_found"], CancelWhy.UNUSABLE_MODEL, "failed"),
    ],
)
def test_a_job_that_was_cancelled_says_so_whatever_answers_it_has(
    codes: list[str | None], why: CancelWhy, outcome: str
):
    job = replace(JOB, cancelled_at=1_795_000_050.0, cancel_why=why, cancel_text="by anna")
    made = receipt_of(account(*codes), SHARD, job=job)
    assert made["outcome"] == outcome
    at = "2026-11-18T11:07:30.000Z"
    assert made["cancelled"] == {"at": at, "why": str(why), "text": "by anna"}
    assert f"cancelled {at}: " in receipt_as_text(made)
    assert "(by anna)" in receipt_as_text(made)


def test_a_job_that_was_not_cancelled_says_nothing_of_it():
    made = receipt_of(account(None), SHARD)
    assert made["cancelled"] is None
    assert "cancelled" not in receipt_as_text(made)


def test_answers_that_are_not_plain_ones_are_counted_whether_they_failed_or_not():
    counted = account(None, None)
    for row, soft in enumerate([Soft.TRUNCATED, Soft.TRUNCATED, Soft.REFUSAL], start=3):
        code = "refusal" if soft is Soft.REFUSAL else None
        counted.add(row, Answer(f"id-{row}", soft=soft, code=code))
    made = receipt_of(counted, SHARD)
    assert made["soft"] == {"truncated": 2, "refusal": 1}
    assert made["requests"]["succeeded"] == 4
    text = receipt_as_text(made)
    assert "not plain answers:\n       2  truncated: cut off at their token limit\n" in text
    assert "not plain" not in receipt_as_text(receipt_of(account(None), SHARD))


def test_what_was_odd_is_told_in_words():
    odd = replace(SHARD, oddities={"unknown_ids": 2, "something_new": 1, UNUSABLE: 3})
    text = receipt_as_text(receipt_of(account(None), odd))
    assert "answers to a custom_id that was not asked: 2" in text
    assert "something new: 1" in text
    assert "requests to a model that answers none in batches: 3" in text


def test_a_batch_that_did_not_answer_everything_says_so():
    expired = replace(SHARD, kept=1, again=RowSet.of([2, 3]), status=BatchStatus.EXPIRED)
    made = receipt_of(account(None), expired)
    assert (made["batches"][0]["answered"], made["batches"][0]["again"]) == (1, 2)
    assert "batch_1  3 x m  expired, 1 answered, 2 tried again" in receipt_as_text(made)


def test_a_receipt_says_all_of_it():
    made = receipt_of(account(None, None, "odd"), SHARD)
    assert (made["job"], made["file"], made["outcome"]) == ("0aaaaa", r"caf\xe9.jsonl", "partial")
    assert made["cost"] == {
        "amount": 0.25,
        "currency": "USD",
        "saving": 0.25,
        "source": "prices 1",
    }
    assert made["usage"]["input_tokens"] == 1000
    assert made["usage"]["by_model"]["m"]["requests"] == 2
    (batch,) = made["batches"]
    assert (batch["id"], batch["status"], batch["completed"]) == (
        "batch_1",
        "completed",
        rfc3339(1_795_000_050.0),
    )
    assert made["times"]["seconds"] == 100.0
    assert made["files"] == [{"name": "results.jsonl", "bytes": 1234, "sha256": "cd34"}]
    assert (made["repairs"], made["oddities"], made["task"]) == (None, None, None)


@pytest.mark.parametrize("usage", [{}, {"m": ModelUsage(Usage(1), 2, None)}])
def test_a_cost_that_is_unknown_is_not_zero(usage: dict[str, ModelUsage]):
    made = receipt_of(account(None, None), replace(SHARD, usage=usage))
    assert made["cost"] is None
    assert "cost      unknown" in receipt_as_text(made)


def test_a_saving_that_is_unknown_is_not_zero():
    """Own prices say nothing of what the same would cost without a batch."""
    own = replace(SHARD, usage={"m": ModelUsage(Usage(1), 2, 0.25, None)})
    made = receipt_of(account(None, None), own)
    assert (made["cost"]["amount"], made["cost"]["saving"]) == (0.25, None)
    assert "saving" not in receipt_as_text(made)


def test_usage_and_oddities_of_all_shards_are_added():
    odd = replace(SHARD, oddities={"unknown_ids": 2})
    made = receipt_of(account(None), odd, replace(odd, number=2))
    assert made["oddities"] == {"unknown_ids": 4}
    assert made["usage"]["output_tokens"] == 40


def test_a_rejected_file_has_a_receipt_too():
    job = replace(JOB, state=JobState.REJECTED, reason="invalid", round=0)
    made = receipt_of(Account(), job=job)
    assert (made["outcome"], made["reason"], made["batches"]) == ("rejected", "invalid", [])
    assert made["times"]["first_batch"] is None
    text = receipt_as_text(made)
    assert "outcome   rejected" in text
    assert "errors:" not in text


def test_a_shard_that_never_became_a_batch_is_told():
    made = receipt_of(account("odd"), replace(SHARD, batch=None, status=None, opened_at=None))
    assert (made["batches"][0]["id"], made["batches"][0]["status"]) == (None, None)
    assert "(none)" in receipt_as_text(made)


def test_a_person_can_read_it():
    job = replace(JOB, repairs={"bom": True, "crlf_lines": 0, "blank_lines": 3})
    text = receipt_as_text(receipt_of(account(None, None, "odd"), SHARD, job=job))
    for line in (
        "requests  3 (2 succeeded, 1 failed)",
        "tokens    1,000 in (5 cached), 20 out (8 reasoning)",
        "cost      0.2500 USD (prices 1)",
        "saving    0.2500 USD less than without batches",
        "batches   1 in 1 round",
        "       1  odd: no (first on line 3)",
        "  a byte order mark, which was left out\n",
        "blank lines, which were left out: 3",
        "batch_1  3 x m  completed",
        "1,234  results.jsonl  sha256 cd34",
    ):
        assert line in text
    assert "CR and LF" not in text


def test_what_a_provider_wrote_breaks_no_line_and_steers_no_terminal():
    text = receipt_as_text(receipt_of(account("odd\x1b[2J", message="two\nlines\x1b[31m"), SHARD))
    assert r"odd\x1b[2J: two\nlines\x1b[31m (first" in text


@pytest.mark.parametrize(
    ("seconds", "words"), [(1.25, "1.2 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (-5, "0.0 s")]
)
def test_a_while_is_told_in_words(seconds: float, words: str):
    job = replace(JOB, claimed_at=1_795_000_100.0 - seconds)
    assert f"took      {words} (" in receipt_as_text(receipt_of(account(None), SHARD, job=job))


def test_times_are_utc_to_the_millisecond():
    assert rfc3339(1_795_000_000.0625) == "2026-11-18T11:06:40.062Z"
    assert rfc3339(None) is None


def test_a_time_that_can_not_be_is_left_out():
    """The provider's word, in microseconds perhaps: it once stopped a delivery for good."""
    assert rfc3339(1.7e15) is None
    assert rfc3339(float("inf")) is None
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"


def test_what_the_check_warned_of_is_told_with_its_first_lines():
    warned = {"no_output_limit": {"total": 12_000, "lines": [1, 2], "detail": ""}, "of-old": {}}
    made = receipt_of(account(None), SHARD, job=replace(JOB, warnings=warned))
    assert made["warnings"] == warned
    text = receipt_as_text(made)
    assert "12,000  no limit on output tokens" in text
    assert "(first on line 1, 2)" in text
    assert "warnings" not in receipt_as_text(receipt_of(account(None), SHARD))
