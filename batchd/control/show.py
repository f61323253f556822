"""Everything that is known of one job, from the ledger and from its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from batchd.control.ledger import Part
from batchd.control.listing import job_of, listed
from batchd.control.messages import Batch, Fact, Shown
from batchd.control.why import Question
from batchd.core.model import ShardState
from batchd.core.names import printable
from batchd.core.receipt import rfc3339
from batchd.core.subjects import Job, Shard
from batchd.core.usage import ModelUsage, merged
from batchd.spool.folders import Folders
from batchd.spool.signature import open_plain

_MOST_BYTES = 16_000_000  #: of a receipt; one of a thousand batches has a megabyte


def shown_job(question: Question, *, source: str) -> Shown:
    """Show the job that the question names. Raises `NoSuchJob` and `Ambiguous`."""
    reader, job = question.reader, job_of(question.word, question.reader)
    parts = reader.parts_of(job.id)
    reason = question.reason_of(job)
    receipt = _receipt(question.folders, job)
    spent = {} if job.joined else merged(part.shard.usage for part in parts)
    return Shown(
        job=listed(job),
        standing=str(reason.standing),
        code=str(reason.code),
        sentence=printable(reason.sentence),
        round=job.round,
        joined=job.joined,
        sha256=job.sha256,
        rejected=job.reason,
        held=job.hold_text,
        cancelled_by=job.cancel_text,
        estimate=job.estimate,
        spent=_spent(spent),
        unpriced=sum(used.requests for used in spent.values() if used.cost is None),
        answered=sum(part.shard.kept for part in parts),
        failed=sum(part.shard.failed for part in parts),
        repairs=dict(job.repairs),
        warnings=dict(job.warnings),
        batches=tuple(map(_batch, parts)),
        errors=receipt.get("errors"),
        soft=receipt.get("soft"),
        oddities=dict(_added(part.shard.oddities for part in parts)),
        timeline=tuple(_fact(row) for row in reader.history_of(job.id)),
        source=source,
    )


def _spent(spent: Mapping[str, ModelUsage]) -> float | None:
    priced = [used.cost for used in spent.values() if used.cost is not None]
    return None if spent and not priced else round(sum(priced), 8)


def _added(counts: Any) -> Counter[str]:
    return sum(map(Counter, counts), Counter[str]())


def _receipt(folders: Folders, job: Job) -> dict[str, Any]:
    """What was delivered says which errors there were; it may have been taken away."""
    if not job.folder:
        return {}
    try:
        with open_plain(folders.outbox / job.folder / "receipt.json") as file:
            found = msgspec.json.decode(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _batch(part: Part) -> Batch:
    shard = part.shard
    is_collected = shard.state is ShardState.COLLECTED
    return Batch(
        shard=shard.id,
        round=shard.round,
        state=str(shard.state),
        endpoint=shard.endpoint,
        model=shard.model,
        requests=shard.requests,
        records=len(shard.rows),
        tokens=shard.tokens,
        estimate=shard.estimate,
        batch=shard.batch,
        status=str(shard.status) if shard.status else None,
        completed=shard.counts.completed,
        answered=shard.kept if is_collected else None,
        failed=shard.failed if is_collected else None,
        again=len(shard.again) if is_collected else None,
        planned=rfc3339(shard.planned_at),
        opened=rfc3339(shard.opened_at),
        ended=rfc3339(shard.ended_at),
        expires=rfc3339(shard.expires_at),
        next_look=None if is_collected else rfc3339(shard.due_at),
        reason=shard.reason,
        text=part.text,
        errors=_errors(shard),
    )


def _errors(shard: Shard) -> tuple[dict[str, Any], ...]:
    found: Sequence[Any] = msgspec.to_builtins(shard.errors)
    return tuple(found)


def _fact(row: Mapping[str, Any]) -> Fact:
    return Fact(at=rfc3339(row["at"]), shard=row["shard"], event=row["event"], facts=row["facts"])
