"""batchd's own word for a request that no file of its ended batch answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from batchd.core.chunks import chunks_of
from batchd.core.model import BatchError, BatchStatus
from batchd.core.subjects import Shard
from batchd.core.verdicts import (
    CANCELLED_CODE,
    EXPIRED_CODE,
    LOST_CODE,
    MISSING_CODE,
    NOT_EXECUTED_CODE,
    Course,
    Failure,
    judge_failed_batch,
    rule_for,
)

LOST_ODDITY = "lost_answers"  #: of a shard, where a file of its batch was given up

_LOST = BatchError(LOST_CODE, "the provider no longer has the file with its answer")
_SPARED = BatchError(NOT_EXECUTED_CODE, "another line of its batch was refused")
_TOO_LARGE = BatchError(NOT_EXECUTED_CODE, "its batch was too large for the account's queue")
_UNSENT = BatchError(CANCELLED_CODE, "the job was cancelled before this request was sent")
_CANCELLED = BatchError(CANCELLED_CODE, "the batch was cancelled before this request was executed")
_EXPIRED = BatchError(EXPIRED_CODE, "the batch expired before this request was executed")
_MISSING = BatchError(MISSING_CODE, "the batch ended and no file of it answers this request")


@dataclass(frozen=True, slots=True)
class Notes:
    """What is said of a shard's requests that no line answers."""

    said: BatchError
    executed: bool  #: whether it counts as an attempt
    oddity: str | None = None  #: under which the receipt counts them, where it is not expected
    named: Mapping[int, BatchError] = field(
        default_factory=dict
    )  #: rows with a reason of their own

    def line(self, custom_id: str, row: int) -> bytes:
        """Write it as a line of an error file."""
        error = self.named.get(row, self.said)
        body = {"code": error.code or "batch_failed", "message": error.message}
        line = {"id": None, "custom_id": custom_id, "response": None, "error": body}
        return msgspec.json.encode(line)


def notes_for(
    shard: Shard, *, lost: bool = False, final: bool = False, per_request: int = 1
) -> Notes:
    """Choose the words. `lost`: the provider no longer has a file; `final`: no round follows.

    `per_request`: how many rows a request carries; a word is for all of them, by the first.
    """
    if lost:
        return Notes(_LOST, executed=True, oddity=LOST_ODDITY)
    match shard.status:
        case BatchStatus.FAILED:
            return _of_a_failed_batch(shard, per_request, final=final)
        case BatchStatus.CANCELLED:
            # No oddity: a batch that was cancelled may have no files at all (reference C.5).
            usual = _CANCELLED if shard.batch else _UNSENT
            return Notes(next(iter(shard.errors), usual), executed=False)
        case BatchStatus.EXPIRED:
            return Notes(_EXPIRED, executed=True, oddity="missing_answers")
        case _:
            return Notes(_MISSING, executed=True, oddity="missing_answers")


_NEVER_BEGAN = (Failure.NO_ROOM, Failure.UNPAID, Failure.FILE_UNSEEN)


def _of_a_failed_batch(shard: Shard, per_request: int, *, final: bool) -> Notes:
    if named := _named_rows(shard, per_request):
        return Notes(_SPARED, executed=False, named=named)
    if final and judge_failed_batch(shard.errors) in _NEVER_BEGAN:
        return Notes(_UNSENT, executed=False)
    if judge_failed_batch(shard.errors) is Failure.NO_ROOM and shard.requests > 1:
        return Notes(_TOO_LARGE, executed=False)  # it is cut up: smaller ones have its requests
    first = shard.errors[0] if shard.errors else BatchError(None, "the batch failed without reason")
    # A reason that may pass is counted, or it would be tried for ever.
    return Notes(first, executed=rule_for(first.code).course is Course.PASSES)


def _named_rows(shard: Shard, per_request: int) -> dict[int, BatchError]:
    """Turn line numbers of the uploaded file into rows of the dropped one."""
    if judge_failed_batch(shard.errors) is not Failure.BAD_LINES:
        return {}
    lines = {error.line: error for error in shard.errors}
    chunks = enumerate(chunks_of(shard.rows, per_request), start=1)
    return {rows[0]: lines[n] for n, rows in chunks if n in lines}
