"""The one table of what becomes of an answer, row by row."""

import pytest

from batchd.core.answers import Answer
from batchd.core.model import BatchError
from batchd.core.verdicts import (
    BY_CODE,
    BY_STATUS,
    Failure,
    Fate,
    Judgement,
    Verdict,
    judge,
    judge_failed_batch,
)


def judged(answer: Answer, *, before: int = 0, most: int = 3) -> Judgement:
    return judge(answer, attempts_before=before, max_attempts=most)


@pytest.mark.parametrize("before", [0, 2, 99])
def test_an_answer_is_kept_however_many_attempts_it_took(before: int):
    assert judged(Answer("a", output="hi", status=200), before=before) == Judgement(
        Verdict.KEEP, Fate.SUCCEEDED, executed=True
    )


AGAIN, GIVE_UP = Verdict.AGAIN, Verdict.GIVE_UP

#: The table once more, said by somebody else: a row changed there must be changed here on purpose.
PASSING_CODES = {
    "server_error",
    "internal_error",
    "internal_server_error",
    "InternalServerError",
    "service_unavailable",
    "overloaded",
    "rate_limit_exceeded",
    "timeout",
    "vector_store_timeout",
    "failed_to_download_image",
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "batch_expired",
    "no_answer",
    "missing_answer",
    "not_executed",
    "invalid_output",
    "missing_record",
}
LASTING_CODES = {
    "answers_lost",
    "context_length_exceeded",
    "string_above_max_length",
    "model_not_found",
    "unsupported_parameter",
    "unsupported_value",
    "invalid_value",
    "invalid_type",
    "missing_required_parameter",
    "invalid_json_schema",
    "invalid_image",
    "invalid_image_url",
    "image_file_not_found",
    "invalid_prompt",
    "content_policy_violation",
    "moderation_blocked",
    "bio_policy",
    "misalignment_policy_violation",
    "data_residency_mismatch",
    "refusal",
    "content_filter",
    "truncated",
}
UNSENT_CODES = ["batch_cancelled", "request_cancelled"]
PASSING_STATUSES = [408, 409, 425, 429, 500, 502, 503, 504, 529]


def test_every_row_of_the_table_is_looked_at_here():
    assert sorted(BY_CODE) == sorted([*PASSING_CODES, *LASTING_CODES, *UNSENT_CODES])
    assert sorted(BY_STATUS) == PASSING_STATUSES
    assert all(rule.why for rule in [*BY_CODE.values(), *BY_STATUS.values()])


@pytest.mark.parametrize("code", sorted(PASSING_CODES))
@pytest.mark.parametrize("status", [None, 200, 400])
def test_what_passes_is_tried_again_until_the_attempts_are_used(code: str, status: int | None):
    answer = Answer("a", code=code, status=status)
    verdicts = [judged(answer, before=before).verdict for before in range(4)]
    assert verdicts == [AGAIN, AGAIN, GIVE_UP, GIVE_UP]
    assert judged(answer, most=1).verdict is GIVE_UP
    assert judged(answer).executed


@pytest.mark.parametrize("code", sorted(LASTING_CODES))
@pytest.mark.parametrize("status", [None, 200, 400, 429, 500])
def test_what_lasts_is_given_up_at_once_whatever_the_status_says(code: str, status: int | None):
    assert judged(Answer("a", code=code, status=status)) == Judgement(
        GIVE_UP, Fate.FAILED, executed=True
    )


@pytest.mark.parametrize("status", range(100, 600))
@pytest.mark.parametrize("code", ["odd", "invalid_request_error"])
def test_a_status_decides_where_the_code_says_nothing(status: int, code: str):
    expected = AGAIN if status in PASSING_STATUSES else GIVE_UP
    assert judged(Answer("a", status=status, code=code)).verdict is expected


@pytest.mark.parametrize(
    ("code", "verdict"),
    [("529", AGAIN), ("429", AGAIN), ("400", GIVE_UP), ("4294", GIVE_UP), ("²²²", GIVE_UP)],
)
def test_a_code_may_be_a_status(code: str, verdict: Verdict):
    assert judged(Answer("a", status=200, code=code)).verdict is verdict


def test_what_nobody_knows_is_not_bought_again_on_a_guess():
    assert judged(Answer("a", code="brand_new")).verdict is GIVE_UP


@pytest.mark.parametrize("code", UNSENT_CODES)
def test_what_was_cancelled_is_not_tried_behind_a_persons_back(code: str):
    assert judged(Answer("a", code=code)) == Judgement(GIVE_UP, Fate.CANCELLED, executed=False)


@pytest.mark.parametrize("code", sorted(BY_CODE))
@pytest.mark.parametrize("executed", [True, False])
def test_in_a_job_that_gets_no_further_round_nothing_is_tried_again(code: str, executed: bool):
    answer = Answer("a", code=code)
    last = judge(answer, attempts_before=0, max_attempts=9, executed=executed, final=True)
    assert last.verdict is GIVE_UP
    good = judge(Answer("a"), attempts_before=0, max_attempts=9, final=True)
    assert good.verdict is Verdict.KEEP


def test_an_expiry_is_an_attempt_and_has_a_count_of_its_own():
    last = judged(Answer("a", code="batch_expired"), before=2)
    assert last == Judgement(Verdict.GIVE_UP, Fate.EXPIRED, executed=True)


def test_what_surely_did_not_run_costs_no_attempt():
    answer = Answer("a", code="not_executed")
    again = judge(answer, attempts_before=99, max_attempts=1, executed=False)
    assert again == Judgement(Verdict.AGAIN, Fate.CANCELLED, executed=False)
    given_up = judge(Answer("a", code="odd"), attempts_before=0, max_attempts=3, executed=False)
    assert given_up == Judgement(Verdict.GIVE_UP, Fate.FAILED, executed=False)


NO_ROOM = BatchError("token_limit_exceeded", "Enqueued token limit reached for gpt-4o-mini")
UNSEEN = BatchError(
    "invalid_request",
    "Cannot find file file-VC5eF687, or organization org-Rem6 does not have access to it.",
    "file_id",
)
UNPAID = BatchError("insufficient_quota", "You exceeded your current quota.")
BAD_LINE = BatchError("invalid_url", "The URL does not match.", "url", 3)
SIZE = BatchError(None, "The batch input file is larger than the 209715200 maximum.")


@pytest.mark.parametrize(
    ("errors", "failure"),
    [
        ([NO_ROOM], Failure.NO_ROOM),
        ([BAD_LINE, NO_ROOM], Failure.NO_ROOM),
        ([UNPAID], Failure.UNPAID),
        ([UNSEEN], Failure.FILE_UNSEEN),
        ([BAD_LINE], Failure.BAD_LINES),
        ([BAD_LINE, BAD_LINE], Failure.BAD_LINES),
        ([BAD_LINE, SIZE], Failure.ALL),
        ([SIZE], Failure.ALL),
        ([], Failure.ALL),
    ],
)
def test_a_failed_batch_is_judged_by_what_it_names(errors: list[BatchError], failure: Failure):
    assert judge_failed_batch(errors) is failure
