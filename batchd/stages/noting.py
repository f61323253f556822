"""What came of a call that was to create a batch, in the ledger and in the log."""

from __future__ import annotations

import structlog

from batchd.core.errors import BatchdError, RemoteError
from batchd.core.events import (
    BatchOpened,
    SubmitDeferred,
    SubmitDoubted,
    SubmitRefused,
    SubmitStarted,
)
from batchd.core.model import Batch, BatchError
from batchd.core.pacing import backoff
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Shard
from batchd.runtime.services import Services

log = structlog.get_logger()


def started(shard: Shard, services: Services) -> SubmitStarted:
    """Return what is to be recorded before the call."""
    wait = services.settings.openai.timeout_seconds + services.settings.batches.doubt_seconds
    return SubmitStarted(shard=shard.id, due_at=services.clock.now() + wait)


async def opened(shard: Shard, batch: Batch, services: Services) -> None:
    """The provider has it."""
    now = services.clock.now()
    first_look = now + services.settings.batches.poll_min_seconds
    event = BatchOpened(
        shard=shard.id, batch=batch.id, due_at=first_look, expires_at=batch.expires_at
    )
    await services.ledger.record(event, at=now)
    log.info("batch.opened", job=shard.job, shard=shard.id, batch=batch.id)


async def refused(
    shard: Shard, refusal: RemoteError, services: Services, *before: SubmitStarted
) -> None:
    """Nothing will help: collect judges its requests, as after any other end."""
    error = BatchError(code=refusal.code, message=str(refusal))
    now = services.clock.now()
    event = SubmitRefused(shard=shard.id, errors=(error,), due_at=now)
    await services.ledger.record(*before, event, at=now)
    log.warning("batch.refused", job=shard.job, shard=shard.id, text=str(refusal))


async def deferred(
    shard: Shard,
    reason: ReasonCode,
    error: BatchdError,
    services: Services,
    *,
    upload_again: bool = False,
    wait: float | None = None,
) -> None:
    """There is surely no batch; it is tried again after a while, or after `wait` seconds."""
    now = services.clock.now()
    asked = getattr(error, "retry_after_seconds", None)
    wait = backoff(shard.tries + 1, asked_for=asked) if wait is None else wait
    event = SubmitDeferred(
        shard=shard.id,
        reason=reason,
        text=str(error),
        due_at=now + wait,
        upload_again=upload_again,
    )
    await services.ledger.record(event, at=now)
    log.warning(
        "submit.deferred",
        job=shard.job,
        shard=shard.id,
        reason=reason,
        text=str(error),
        again_in_seconds=round(wait, 1),
    )


async def doubted(
    shard: Shard,
    reason: ReasonCode,
    error: BatchdError,
    services: Services,
    *,
    at_least: float = 0.0,
) -> None:
    """Nobody knows whether there is a batch now; it is asked for when it would be listed."""
    now = services.clock.now()
    asked = getattr(error, "retry_after_seconds", None)
    wait = max(services.settings.batches.doubt_seconds, asked or 0.0, at_least)
    event = SubmitDoubted(shard=shard.id, reason=reason, text=str(error), due_at=now + wait)
    await services.ledger.record(event, at=now)
    log.warning(
        "submit.doubted",
        job=shard.job,
        shard=shard.id,
        reason=reason,
        text=str(error),
        asked_in_seconds=wait,
    )
