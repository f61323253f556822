"""What becomes of a request after an answer, or the lack of one. The one table is here.

An attempt is an execution, or an expiry, at the provider. What was never executed counts none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from batchd.core.answers import Answer
from batchd.core.model import BatchError


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


class Course(StrEnum):
    """What is to be expected of a request that failed once."""

    PASSES = "passes"  #: it may be otherwise next time: again, while attempts are left
    LASTS = "lasts"  #: the same request would fail the same way, and may be billed again
    UNSENT = "unsent"  #: it was never executed: no attempt, and no word against an earlier one


class Rule(NamedTuple):
    """One row of the table."""

    course: Course
    why: str


EXPIRED_CODE = "batch_expired"
MISSING_CODE = "missing_answer"
LOST_CODE = "answers_lost"
CANCELLED_CODE = "batch_cancelled"
NOT_EXECUTED_CODE = "not_executed"
NO_ROOM_CODE = "token_limit_exceeded"
INVALID_CODE = "invalid_output"
MISSING_RECORD_CODE = "missing_record"

_PASSES, _LASTS, _UNSENT = Course

# One row, one line: the formatter would make three of each, and a table that no one reads.
# fmt: off
#: By the code of a line. It knows more than the status, which comes second; what neither names
#: lasts, because nothing is bought twice on a guess. Sources: reference B.3, C.3 to C.5, H.
BY_CODE: Mapping[str, Rule] = {
    # The provider's own trouble
    "server_error": Rule(_PASSES, "its own word: you can retry your request"),
    "internal_error": Rule(_PASSES, "the same, of other servers"),
    "internal_server_error": Rule(_PASSES, "the same"),
    "InternalServerError": Rule(_PASSES, "the same, of vLLM"),
    "service_unavailable": Rule(_PASSES, "the same"),
    "overloaded": Rule(_PASSES, "too many at once"),
    "rate_limit_exceeded": Rule(_PASSES, "too many at once"),
    "timeout": Rule(_PASSES, "too slow this time"),
    "vector_store_timeout": Rule(_PASSES, "too slow this time"),
    "failed_to_download_image": Rule(_PASSES, "somebody's server did not give it this time"),
    # Money: until somebody pays, the next upload is denied as well, and remote work rests. So an
    # attempt is spent only when there is money again; giving up would hand back a whole file.
    "insufficient_quota": Rule(_PASSES, "the account may be topped up"),
    "billing_hard_limit_reached": Rule(_PASSES, "the limit may be raised, or the month end"),
    "billing_not_active": Rule(_PASSES, "the account may be paid"),
    # No answer
    EXPIRED_CODE: Rule(_PASSES, "the provider had no time for it"),
    "no_answer": Rule(_PASSES, "a line with neither answer nor error"),
    MISSING_CODE: Rule(_PASSES, "no file of its batch mentions it"),
    LOST_CODE: Rule(_LASTS, "executed and paid for, perhaps: a person decides about a second time"),
    # Never executed
    CANCELLED_CODE: Rule(_UNSENT, "somebody wanted it so: not bought behind their back"),
    "request_cancelled": Rule(_UNSENT, "the same, for one request"),
    NOT_EXECUTED_CODE: Rule(_PASSES, "another line of its batch was refused, so nothing ran"),
    # The request itself
    "context_length_exceeded": Rule(_LASTS, "it is too long for its model"),
    "string_above_max_length": Rule(_LASTS, "it is too long"),
    "model_not_found": Rule(_LASTS, "there is no such model for this account, or not in batches"),
    "unsupported_parameter": Rule(_LASTS, "its model does not take it"),
    "unsupported_value": Rule(_LASTS, "its model does not take it"),
    "invalid_value": Rule(_LASTS, "the request must be mended"),
    "invalid_type": Rule(_LASTS, "the request must be mended"),
    "missing_required_parameter": Rule(_LASTS, "the request must be mended"),
    "invalid_json_schema": Rule(_LASTS, "the request must be mended"),
    "invalid_image": Rule(_LASTS, "the request must be mended"),
    "invalid_image_url": Rule(_LASTS, "the request must be mended"),
    "image_file_not_found": Rule(_LASTS, "the request must be mended"),
    # What it asks for
    "invalid_prompt": Rule(_LASTS, "the policy does not change from one hour to the next"),
    "content_policy_violation": Rule(_LASTS, "the same"),
    "moderation_blocked": Rule(_LASTS, "the same"),
    "bio_policy": Rule(_LASTS, "the same"),
    "misalignment_policy_violation": Rule(_LASTS, "the same"),
    "data_residency_mismatch": Rule(_LASTS, "the same"),
    # Answers that are none (core/answers.py)
    "refusal": Rule(_LASTS, "the model said no, and was paid for it"),
    "content_filter": Rule(_LASTS, "the filter left nothing of the answer, and it was paid for"),
    "truncated": Rule(_LASTS, "the same limit would cut it again"),
    # Answers that a task can't use (core/taking.py)
    INVALID_CODE: Rule(_PASSES, "models say it otherwise the next time"),
    MISSING_RECORD_CODE: Rule(_PASSES, "it was left out of an answer for several"),
}

#: By the HTTP status of a line, where the code says nothing (reference C.3, C.4).
BY_STATUS: Mapping[int, Rule] = {
    408: Rule(_PASSES, "too slow this time"),
    409: Rule(_PASSES, "somebody else had hold of it"),
    425: Rule(_PASSES, "too early"),
    429: Rule(_PASSES, "too many at once"),
    500: Rule(_PASSES, "the provider's own trouble"),
    502: Rule(_PASSES, "the provider's own trouble"),
    503: Rule(_PASSES, "the provider's own trouble"),
    504: Rule(_PASSES, "too slow this time"),
    529: Rule(_PASSES, "overloaded, of other servers"),
}
# fmt: on
_UNNAMED = Rule(_LASTS, "not known to pass")

_UNPAID = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")

#: What says no more than that a request did not run: an earlier answer's word is worth more.
_NEVER_EXECUTED = frozenset(
    {NOT_EXECUTED_CODE, *(code for code, rule in BY_CODE.items() if rule.course is _UNSENT)}
)


def rule_for(code: str | None, status: int | None = None) -> Rule:
    """Look up a failure. Some servers repeat the status as its code, or give nothing else."""
    known = BY_CODE.get(code or "")
    if known is None and code is not None and code.isdecimal() and len(code) == 3:
        known = BY_STATUS.get(int(code))
    return known or BY_STATUS.get(status or 0) or _UNNAMED


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons."""

    verdict: Verdict
    fate: Fate
    executed: bool  #: whether this counts as one of `retries.max_attempts`


_KEPT = Judgement(Verdict.KEEP, Fate.SUCCEEDED, executed=True)


def judge(
    answer: Answer,
    *,
    attempts_before: int,
    max_attempts: int,
    executed: bool = True,
    final: bool = False,
) -> Judgement:
    """Judge one answer. `attempts_before`: how often the request was executed in earlier rounds.

    `executed=False`: it surely did not run, so that it costs no attempt, whatever the answer says.
    `final=True`: its job gets no further round, so that nothing is tried again.
    """
    if answer.code is None:
        return _KEPT
    fate = fate_of(answer)
    course = rule_for(answer.code, answer.status).course
    if course is Course.UNSENT:
        return Judgement(Verdict.GIVE_UP, fate, executed=False)
    left = not executed or attempts_before + 1 < max_attempts
    again = course is Course.PASSES and left and not final
    return Judgement(Verdict.AGAIN if again else Verdict.GIVE_UP, fate, executed=executed)


def fate_of(answer: Answer) -> Fate:
    """How a request with this last answer is counted."""
    if answer.code is None:
        return Fate.SUCCEEDED
    if answer.code in _NEVER_EXECUTED:
        return Fate.CANCELLED
    return Fate.EXPIRED if answer.code == EXPIRED_CODE else Fate.FAILED


class Failure(StrEnum):
    """Why a whole batch failed, as far as it matters for what comes next."""

    NO_ROOM = "no_room"  #: the queue was full: the same shard again, later; nothing was executed
    UNPAID = "unpaid"  #: quota or billing: likewise, until somebody pays
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
    if any(error.code == NO_ROOM_CODE for error in errors):
        return Failure.NO_ROOM
    if any(error.code in _UNPAID for error in errors):
        return Failure.UNPAID
    if any("Cannot find file" in error.message for error in errors):
        return Failure.FILE_UNSEEN
    if errors and all(error.line is not None for error in errors):
        return Failure.BAD_LINES
    return Failure.ALL
