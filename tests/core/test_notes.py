"""What is said of requests that no file of their ended batch answers."""

from dataclasses import replace

import pytest

from batchd.core.answers import read_answer
from batchd.core.model import BatchError, BatchStatus
from batchd.core.notes import notes_for
from batchd.core.rows import RowSet
from batchd.core.verdicts import Fate, fate_of
from tests.core.test_receipt import SHARD

FULL = BatchError("token_limit_exceeded", "Enqueued token limit reached")
UNPAID = BatchError("insufficient_quota", "You exceeded your current quota")
UNSEEN = BatchError("invalid_request", "Cannot find file file-1", "file_id")
BAD = BatchError("invalid_url", "no such url", "url", line=2)


def ended(status: BatchStatus | None, *errors: BatchError, batch: str | None = "batch_1"):
    return replace(SHARD, status=status, errors=errors, batch=batch, rows=RowSet.of([4, 6, 9]))


@pytest.mark.parametrize(
    ("status", "code", "fate", "executed"),
    [
        (BatchStatus.EXPIRED, "batch_expired", Fate.EXPIRED, True),
        (BatchStatus.CANCELLED, "batch_cancelled", Fate.CANCELLED, False),
        (BatchStatus.COMPLETED, "missing_answer", Fate.FAILED, True),
        (BatchStatus.UNKNOWN, "missing_answer", Fate.FAILED, True),
        (None, "missing_answer", Fate.FAILED, True),
    ],
)
def test_a_missing_answer_says_why_it_is_missing(
    status: BatchStatus | None, code: str, fate: Fate, executed: bool
):
    notes = notes_for(ended(status))
    answer = read_answer(notes.line("a", 4), "/v1/responses")
    assert (answer.custom_id, answer.code, fate_of(answer)) == ("a", code, fate)
    assert answer.message
    assert notes.executed is executed
    assert notes.oddity == ("missing_answers" if executed else None)


def test_what_the_provider_lost_may_have_been_paid_for():
    notes = notes_for(ended(BatchStatus.EXPIRED), lost=True)
    assert (notes.said.code, notes.executed, notes.oddity) == ("answers_lost", True, "lost_answers")


def test_what_was_never_sent_says_so_or_what_it_was_told():
    assert notes_for(ended(BatchStatus.CANCELLED, batch=None)).said.message == (
        "the job was cancelled before this request was sent"
    )
    told = BatchError("model_not_found", "it answers no batch")
    notes = notes_for(ended(BatchStatus.CANCELLED, told, batch=None))
    assert (notes.said, notes.executed) == (told, False)


def test_named_lines_have_their_reason_and_the_others_did_not_run():
    notes = notes_for(ended(BatchStatus.FAILED, BAD))
    assert not notes.executed
    codes = [read_answer(notes.line("a", row), "/v1/responses").code for row in (4, 6, 9)]
    assert codes == ["not_executed", "invalid_url", "not_executed"]


@pytest.mark.parametrize(
    ("errors", "code", "executed"),
    [
        ([BatchError("empty_file", "it is empty")], "empty_file", False),
        ([BatchError("server_error", "sorry")], "server_error", True),
        ([replace(BAD, line=99)], "invalid_url", False),
        ([UNSEEN], "invalid_request", False),
        ([BatchError(None, "no code")], "batch_failed", False),
        ([], "batch_failed", False),
    ],
)
def test_a_reason_that_names_nobody_is_everybodys(
    errors: list[BatchError], code: str, executed: bool
):
    notes = notes_for(ended(BatchStatus.FAILED, *errors))
    assert read_answer(notes.line("a", 4), "/v1/responses").code == code
    assert notes.executed is executed


def test_what_is_too_large_for_the_queue_did_not_run_and_says_so():
    notes = notes_for(ended(BatchStatus.FAILED, FULL))
    assert (notes.said.code, notes.executed) == ("not_executed", False)


@pytest.mark.parametrize("error", [FULL, UNPAID, UNSEEN])
def test_what_never_began_in_a_cancelled_job_was_cancelled(error: BatchError):
    notes = notes_for(ended(BatchStatus.FAILED, error), final=True)
    assert (notes.said.code, notes.executed) == ("batch_cancelled", False)


def test_a_named_line_is_the_request_that_was_uploaded_there_with_all_its_rows():
    failed = replace(ended(BatchStatus.FAILED, replace(BAD, line=2)), rows=RowSet(((1, 9),)))
    notes = notes_for(failed, per_request=4)
    codes = [read_answer(notes.line("a", row), "/v1/responses").code for row in (1, 5, 9)]
    assert codes == ["not_executed", "invalid_url", "not_executed"]
