"""What becomes of a request after an answer, or the lack of one. The one table is here.

An attempt is an execution, or an expiry, at the provider. What was never executed counts none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from batchd.core.answers import Answer
from batchd.core.model import BatchError, BatchStatus


class Verdict(StrEnum):
    """The three ends of an answer."""

    KEEP = "keep"
    AGAIN = "again"  #: it travels in the next round
    GIVE_UP = "give_up"


class Fate(StrEnum):
    """How a request is counted in the receipt; the four add up to the total."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: HTTP statuses of a line that may be otherwise next time (reference C.3, C.4).
PASSING_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})

#: Codes of a line that may be otherwise next time, whatever the status says.
PASSING_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "batch_expired",
        "no_answer",
        "missing_answer",
        "not_executed",
    }
)

#: Codes of a request that was never executed: no attempt, and no second try behind a person's back.
CANCELLED_CODES = frozenset({"batch_cancelled", "request_cancelled"})

EXPIRED_CODE = "batch_expired"
MISSING_CODE = "missing_answer"
CANCELLED_CODE = "batch_cancelled"
NOT_EXECUTED_CODE = "not_executed"  #: another line of its batch was refused, so nothing ran


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons."""

    verdict: Verdict
    fate: Fate
    executed: bool  #: whether this counts as one of `retries.max_attempts`


def judge(
    answer: Answer, *, attempts_before: int, max_attempts: int, executed: bool = True
) -> Judgement:
    """Judge one answer. `attempts_before`: how often the request was executed in earlier rounds.

    `executed=False`: it surely did not run, so that it costs no attempt, whatever the answer says.
    """
    if answer.code is None:
        return Judgement(Verdict.KEEP, Fate.SUCCEEDED, executed=True)
    if answer.code in CANCELLED_CODES:
        return Judgement(Verdict.GIVE_UP, Fate.CANCELLED, executed=False)
    passing = answer.code in PASSING_CODES or answer.status in PASSING_STATUSES
    left = not executed or attempts_before + 1 < max_attempts
    verdict = Verdict.AGAIN if passing and left else Verdict.GIVE_UP
    return Judgement(verdict, fate_of(answer), executed=executed)


def fate_of(answer: Answer) -> Fate:
    """How a request with this last answer is counted."""
    if answer.code is None:
        return Fate.SUCCEEDED
    if answer.code in CANCELLED_CODES:
        return Fate.CANCELLED
    return Fate.EXPIRED if answer.code == EXPIRED_CODE else Fate.FAILED


def missing_answer(custom_id: str, status: BatchStatus) -> Answer:
    """What stands for a request that no file of its ended batch mentions."""
    match status:
        case BatchStatus.EXPIRED:
            code, why = EXPIRED_CODE, "the batch expired before this request was executed"
        case BatchStatus.CANCELLED:
            code, why = CANCELLED_CODE, "the batch was cancelled before this request was executed"
        case _:
            code, why = MISSING_CODE, "the batch ended and no file of it answers this request"
    return Answer(custom_id, code=code, message=why)


class Failure(StrEnum):
    """Why a whole batch failed, as far as it matters for what comes next."""

    NO_ROOM = "no_room"  #: the queue was full: the same shard again, later; nothing was executed
    FILE_UNSEEN = "file_unseen"  #: the provider did not find a file it has: again, uploaded anew
    BAD_LINES = "bad_lines"  #: named lines fail, the others travel again, uncounted
    ALL = "all"  #: nothing more is known: every request fails with the batch's reason


_LIMIT = re.compile(r"Limit: ([\d,]+)")  # "Limit: 2,000,000 enqueued tokens" (reference B.3)


def room_told(errors: Sequence[BatchError]) -> int | None:
    """Return the queue limit, in tokens, that a refusal for room names; None where it names none."""
    found = [_LIMIT.search(error.message) for error in errors]
    return next((int(match[1].replace(",", "")) for match in found if match), None)


def judge_failed_batch(errors: Sequence[BatchError]) -> Failure:
    """Judge a batch that the provider did not even begin (reference B.3)."""
    if any(error.code == "token_limit_exceeded" for error in errors):
        return Failure.NO_ROOM
    if any("Cannot find file" in error.message for error in errors):
        return Failure.FILE_UNSEEN
    if errors and all(error.line is not None for error in errors):
        return Failure.BAD_LINES
    return Failure.ALL
