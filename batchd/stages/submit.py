"""PLANNED -> SUBMITTING -> OPEN. The one stage that can be in doubt, and settles it."""

from __future__ import annotations

from pathlib import Path

import structlog

from batchd.core import limits
from batchd.core.errors import BatchdError, RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.events import (
    BatchOpened,
    FileUploaded,
    SubmitDeferred,
    SubmitDoubted,
    SubmitRefused,
    SubmitStarted,
)
from batchd.core.model import Batch, BatchError, BatchOrder, ShardState
from batchd.core.names import shown
from batchd.core.pacing import backoff, has_room
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Job, Shard
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.placing import remove_file
from batchd.spool.work import cut

log = structlog.get_logger()

NAME = "submit"
WAKES = ("poll", "collect")
LIMIT = 4  #: shards on their way at once: uploads share one line
_BEFORE = 600.0  #: seconds a provider's clock may be behind ours when we look for a lost batch
_MANY_PAGES = 100  #: pages of a list that doesn't end are no answer
_UPLOAD_AGAIN_AFTER = 3  #: tries with a file the provider doesn't find before it is sent anew


async def run_once(services: Services) -> int:
    """Settle what is in doubt, then submit what is planned, as far as there is room."""
    if services.rest.is_on:
        return 0
    now = services.clock.now()
    doubtful = await services.ledger.shards_due(ShardState.SUBMITTING, now=now, most=LIMIT)
    started = [services.start(NAME, shard.id, _ask, shard, services) for shard in doubtful]
    for shard in await _with_room(services, now):
        started.append(services.start(NAME, shard.id, _submit, shard, services))
    return sum(started)


async def next_look(services: Services) -> float | None:
    """When a doubt may be settled, or a deferred shard is due."""
    ledger, now = services.ledger, services.clock.now()
    dues = [await ledger.next_due(s) for s in (ShardState.SUBMITTING, ShardState.PLANNED)]
    return min((due - now for due in dues if due is not None and due > now), default=None)


async def _with_room(services: Services, now: float) -> list[Shard]:
    """Choose planned shards that fit the account: batches open at once, tokens enqueued."""
    batches = services.settings.batches
    live, enqueued = await services.ledger.live_at_provider()
    chosen: list[Shard] = []
    for shard in await services.ledger.shards_to_submit(now=now, most=LIMIT * 8):
        fits = has_room(
            shard.tokens, shard.model, enqueued=enqueued, limits=batches.enqueued_tokens
        )
        if (
            live + len(chosen) < batches.max_open
            and fits
            and services.crews[NAME].is_free(shard.id)
        ):
            chosen.append(shard)
            enqueued[shard.model] = enqueued.get(shard.model, 0) + shard.tokens
    return chosen[: services.crews[NAME].room]


async def _submit(planned: Shard, services: Services) -> None:
    shard = await services.ledger.shard(planned.id)
    if shard != planned:
        return  # listed before its own earlier turn had ended; it may be asked to wait by now
    job = await services.ledger.job(shard.job)
    file_id = shard.file_id or await _upload(shard, job, services)
    total = len(await services.ledger.shards_of(job.id))
    order = _order(shard, job, file_id, total=total, root=services.ledger.root)
    # Recorded before the call: from here until BatchOpened, a crash means doubt, not loss.
    wait = services.settings.openai.timeout_seconds + services.settings.batches.doubt_seconds
    started = SubmitStarted(shard=shard.id, due_at=services.clock.now() + wait)
    await services.ledger.record(started, at=services.clock.now())
    try:
        batch = await services.remote.create_batch(order)
    except RemoteRefused as refusal:
        await _refused(shard, refusal, services)
    except RemoteDenied as denial:
        await _defer(shard, ReasonCode.DENIED, denial, services)
        raise
    except RemoteUnavailable as error:
        await _unavailable(shard, error, services)
    else:
        await _opened(shard, batch, services)


async def _upload(shard: Shard, job: Job, services: Services) -> str:
    path = await in_thread(_file_of, shard, job, services)
    file_id = await services.remote.upload(
        path, name=f"batchd-{services.ledger.root}-{shard.id}.jsonl"
    )
    size = path.stat().st_size  # one stat
    now = services.clock.now()
    uploaded = FileUploaded(shard=shard.id, file_id=file_id, size=size, due_at=now)
    await in_thread(services.work.unchanged_input, job, pause=pause)
    await services.ledger.record(uploaded, at=now)
    log.info("shard.uploaded", job=job.id, shard=shard.id, input_file_id=file_id, bytes=size)
    if path == services.work.shard_file(job.id, shard.id):
        await in_thread(remove_file, path)  # cut for this upload, and cut again if need be
    return file_id


def _file_of(shard: Shard, job: Job, services: Services) -> Path:
    """Return the file to upload: the dropped one as it lies, or the rows of this shard."""
    dropped = services.work.unchanged_input(job, pause=pause)
    if job.verbatim and shard.round == 1:
        return dropped
    path = services.work.shard_file(job.id, shard.id)
    if not path.exists():
        cut(dropped, shard.rows, path, pause=pause)
    return path


def _order(shard: Shard, job: Job, file_id: str, *, total: int, root: str) -> BatchOrder:
    """Say in the metadata whose batch it is: how it is found again, by us and by people."""
    place = f", shard {shard.number} of {total}"
    name = shown(job.name)[: limits.METADATA_VALUE - len(place)]
    return BatchOrder(
        input_file_id=file_id,
        endpoint=shard.endpoint,
        completion_window=limits.COMPLETION_WINDOW,
        metadata={
            "batchd_root": root,
            "batchd_job": shard.job,
            "batchd_shard": shard.id,
            "description": name + place,
        },
    )


async def _opened(shard: Shard, batch: Batch, services: Services) -> None:
    now = services.clock.now()
    first_look = now + services.settings.batches.poll_min_seconds
    opened = BatchOpened(shard=shard.id, batch=batch.id, due_at=first_look)
    await services.ledger.record(opened, at=now)
    log.info("batch.opened", job=shard.job, shard=shard.id, batch=batch.id)


async def _refused(shard: Shard, refusal: RemoteRefused, services: Services) -> None:
    """A definite no; but a file just uploaded may only not be seen yet (reference E.3)."""
    if "Cannot find file" in str(refusal):
        again = shard.tries + 1 >= _UPLOAD_AGAIN_AFTER
        await _defer(shard, ReasonCode.FILE_UNSEEN, refusal, services, upload_again=again)
        return
    error = BatchError(code=refusal.code, message=str(refusal))
    now = services.clock.now()
    await services.ledger.record(SubmitRefused(shard=shard.id, errors=(error,), due_at=now), at=now)
    log.warning("batch.refused", job=shard.job, shard=shard.id, reason=str(refusal))


async def _unavailable(shard: Shard, error: RemoteUnavailable, services: Services) -> None:
    if error.may_have_happened:
        await _doubt(shard, ReasonCode.DOUBT, error, services)
    else:
        await _defer(shard, ReasonCode.PROVIDER_UNAVAILABLE, error, services)


async def _defer(
    shard: Shard,
    reason: ReasonCode,
    error: BatchdError,
    services: Services,
    *,
    upload_again: bool = False,
) -> None:
    now = services.clock.now()
    asked = getattr(error, "retry_after_seconds", None)
    deferred = SubmitDeferred(
        shard=shard.id,
        reason=reason,
        text=str(error),
        due_at=now + backoff(shard.tries + 1, asked_for=asked),
        upload_again=upload_again,
    )
    await services.ledger.record(deferred, at=now)
    log.warning(
        "submit.deferred",
        job=shard.job,
        shard=shard.id,
        reason=str(error),
        again_in_seconds=round(deferred.due_at - now, 1),
    )


async def _doubt(shard: Shard, reason: ReasonCode, error: BatchdError, services: Services) -> None:
    """Nobody knows whether there is a batch now; it is asked for when it would be listed."""
    now = services.clock.now()
    wait = services.settings.batches.doubt_seconds
    doubted = SubmitDoubted(shard=shard.id, reason=reason, text=str(error), due_at=now + wait)
    await services.ledger.record(doubted, at=now)
    log.warning(
        "submit.doubted",
        job=shard.job,
        shard=shard.id,
        reason=str(error),
        asked_in_seconds=wait,
    )


async def _ask(shard: Shard, services: Services) -> None:
    """A crash or a broken call left no word whether the provider has the batch. It knows."""
    if await services.ledger.shard(shard.id) != shard:
        return  # as above: an earlier turn has settled it
    try:
        batch = await _find(shard, services)
    except (RemoteRefused, _ListWithoutEnd) as error:
        # Never guessed: a wrong "no" is a second bill.
        await _doubt(shard, ReasonCode.DOUBT_UNSETTLED, error, services)
        return
    if batch is not None:
        await _opened(shard, batch, services)
        return
    now = services.clock.now()
    nothing = "the provider lists no batch for this shard"
    deferred = SubmitDeferred(shard=shard.id, reason=ReasonCode.NOT_THERE, text=nothing, due_at=now)
    await services.ledger.record(deferred, at=now)
    log.info("submit.not_there", job=shard.job, shard=shard.id)


class _ListWithoutEnd(BatchdError):
    """The provider's list goes on and on; it can't tell what is not in it."""


async def _find(shard: Shard, services: Services) -> Batch | None:
    """Page through the provider's list, newest first, back to before the call."""
    oldest = (shard.submit_started_at or 0.0) - _BEFORE
    after: str | None = None
    for _ in range(_MANY_PAGES):
        page = await services.remote.list_batches(after=after)
        for batch in page.batches:
            if await _is_ours(batch, shard, services):
                return batch
        older = page.batches and all((b.created_at or oldest) < oldest for b in page.batches)
        if older or not page.has_more or not page.batches:
            return None
        after = page.batches[-1].id
    raise _ListWithoutEnd(f"the provider's list did not end after {_MANY_PAGES} pages")


async def _is_ours(batch: Batch, shard: Shard, services: Services) -> bool:
    """Match by metadata or by input file; a batch that another shard holds never matches."""
    metadata = batch.metadata
    named = (metadata.get("batchd_root"), metadata.get("batchd_shard"))
    same_name = named == (services.ledger.root, shard.id)
    same_file = shard.file_id is not None and batch.input_file_id == shard.file_id
    if not (same_name or same_file):
        return False
    return await services.ledger.batch_holder(batch.id) in (None, shard.id)
