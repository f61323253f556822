"""The one table of what becomes of an answer, row by row."""

import pytest

from batchd.core.answers import Answer
from batchd.core.model import BatchError, BatchStatus
from batchd.core.verdicts import (
    CANCELLED_CODES,
    PASSING_CODES,
    PASSING_STATUSES,
    Failure,
    Fate,
    Judgement,
    Verdict,
    judge,
    judge_failed_batch,
    missing_answer,
)


def judged(answer: Answer, *, before: int = 0, most: int = 3) -> Judgement:
    return judge(answer, attempts_before=before, max_attempts=most)


@pytest.mark.parametrize("before", [0, 2, 99])
def test_an_answer_is_kept_however_many_attempts_it_took(before: int):
    assert judged(Answer("a", output="hi", status=200), before=before) == Judgement(
        Verdict.KEEP, Fate.SUCCEEDED, executed=True
    )


@pytest.mark.parametrize("code", sorted(PASSING_CODES))
def test_what_passes_is_tried_again_until_the_attempts_are_used(code: str):
    answer = Answer("a", code=code)
    verdicts = [judged(answer, before=before).verdict for before in range(4)]
    assert verdicts == [Verdict.AGAIN, Verdict.AGAIN, Verdict.GIVE_UP, Verdict.GIVE_UP]
    assert judged(answer, most=1).verdict is Verdict.GIVE_UP
    assert judged(answer).executed


@pytest.mark.parametrize("status", range(100, 600))
def test_the_status_of_a_line_says_whether_it_may_pass(status: int):
    expected = Verdict.AGAIN if status in PASSING_STATUSES else Verdict.GIVE_UP
    assert judged(Answer("a", status=status, code="odd")).verdict is expected


@pytest.mark.parametrize("code", ["context_length_exceeded", "refusal", "http_400", "billing"])
def test_what_does_not_pass_is_given_up_at_once(code: str):
    assert judged(Answer("a", status=400, code=code)) == Judgement(
        Verdict.GIVE_UP, Fate.FAILED, executed=True
    )


@pytest.mark.parametrize("code", sorted(CANCELLED_CODES))
def test_what_was_cancelled_is_not_tried_behind_a_persons_back(code: str):
    assert judged(Answer("a", code=code)) == Judgement(
        Verdict.GIVE_UP, Fate.CANCELLED, executed=False
    )


def test_an_expiry_is_an_attempt_and_has_a_count_of_its_own():
    last = judged(Answer("a", code="batch_expired"), before=2)
    assert last == Judgement(Verdict.GIVE_UP, Fate.EXPIRED, executed=True)


def test_what_surely_did_not_run_costs_no_attempt():
    answer = Answer("a", code="not_executed")
    again = judge(answer, attempts_before=99, max_attempts=1, executed=False)
    assert again == Judgement(Verdict.AGAIN, Fate.FAILED, executed=False)
    given_up = judge(Answer("a", code="odd"), attempts_before=0, max_attempts=3, executed=False)
    assert given_up == Judgement(Verdict.GIVE_UP, Fate.FAILED, executed=False)


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (BatchStatus.EXPIRED, Fate.EXPIRED),
        (BatchStatus.CANCELLED, Fate.CANCELLED),
        (BatchStatus.COMPLETED, Fate.FAILED),
        (BatchStatus.FAILED, Fate.FAILED),
    ],
)
def test_a_missing_answer_says_why_it_is_missing(status: BatchStatus, fate: Fate):
    answer = missing_answer("a", status)
    assert answer.custom_id == "a"
    assert answer.message
    assert judged(answer, before=2).fate is fate


NO_ROOM = BatchError("token_limit_exceeded", "Enqueued token limit reached for gpt-4o-mini")
UNSEEN = BatchError(
    "invalid_request",
    "Cannot find file file-VC5eF687, or organization org-Rem6 does not have access to it.",
    "file_id",
)
BAD_LINE = BatchError("invalid_url", "The URL does not match.", "url", 3)
SIZE = BatchError(None, "The batch input file is larger than the 209715200 maximum.")


@pytest.mark.parametrize(
    ("errors", "failure"),
    [
        ([NO_ROOM], Failure.NO_ROOM),
        ([BAD_LINE, NO_ROOM], Failure.NO_ROOM),
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
