"""PLANNED -> SUBMITTING -> OPEN. The one stage that can be in doubt, and settles it."""

from __future__ import annotations

import math
from pathlib import Path

import structlog

from batchd.core import limits
from batchd.core.errors import (
    BatchdError,
    RemoteDenied,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
)
from batchd.core.events import (
    BatchOpened,
    FileUploaded,
    SubmitDeferred,
    SubmitDoubted,
    SubmitRefused,
    SubmitStarted,
)
from batchd.core.model import Batch, BatchError, BatchOrder, BatchPage, ShardState
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
_MANY_PLANNED = 1000  #: planned shards looked through for those that there is room for
_UPLOAD_AGAIN_EVERY = 3  #: tries with a file the provider doesn't find before it is sent anew
_NO_SUCH_ROUTE = frozenset({404, 405})
#: What a file is refused with. A 404 or 405 speaks of the address, which is the operator's.
_OF_THE_FILE = frozenset({400, 413, 415, 422})


async def run_once(services: Services) -> int:
    """Settle what is in doubt, then submit what is planned, as far as there is room."""
    if services.rest.is_on:
        return 0
    now = services.clock.now()
    reach = services.crews[NAME].reach
    doubtful = await services.ledger.shards_due(ShardState.SUBMITTING, now=now, most=reach)
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
    batches, crew = services.settings.batches, services.crews[NAME]
    live, enqueued = await services.ledger.live_at_provider()
    if not crew.room or live >= batches.max_open:
        return []
    planned = await services.ledger.shards_to_submit(now=now, most=_MANY_PLANNED)
    # On their way, though the ledger doesn't say so before the upload has ended.
    for shard in (shard for shard in planned if crew.is_busy(shard.id)):
        live += 1
        enqueued[shard.model] = enqueued.get(shard.model, 0) + shard.tokens
    chosen: list[Shard] = []
    for shard in (shard for shard in planned if crew.is_free(shard.id)):
        if len(chosen) == crew.room or live + len(chosen) >= batches.max_open:
            break
        if has_room(shard.tokens, shard.model, enqueued=enqueued, limits=batches.enqueued_tokens):
            chosen.append(shard)
            enqueued[shard.model] = enqueued.get(shard.model, 0) + shard.tokens
    return chosen


async def _submit(planned: Shard, services: Services) -> None:
    shard = await services.ledger.shard(planned.id)
    if shard != planned:
        return  # listed before its own earlier turn had ended; it may be asked to wait by now
    job = await services.ledger.job(shard.job)
    try:
        file_id = shard.file_id or await _upload(shard, job, services)
    except RemoteRefused as refusal:
        if refusal.status not in _OF_THE_FILE:
            raise
        await _end(shard, refusal, services, _started(shard, services))
        return
    except (RemoteDenied, RemoteUnavailable) as error:
        denied = isinstance(error, RemoteDenied)
        # In the ledger, too: `batchd why` reads there what the file waits for.
        reason = ReasonCode.DENIED if denied else ReasonCode.PROVIDER_UNAVAILABLE
        await _defer(shard, reason, error, services)
        raise
    total = len(await services.ledger.shards_of(job.id))
    order = _order(shard, job, file_id, services, total=total)
    # Recorded before the call: from here until BatchOpened, a crash means doubt, not loss.
    started = _started(shard, services)
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


def _started(shard: Shard, services: Services) -> SubmitStarted:
    wait = services.settings.openai.timeout_seconds + services.settings.batches.doubt_seconds
    return SubmitStarted(shard=shard.id, due_at=services.clock.now() + wait)


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
    # Cut anew each time: what an earlier try left may come from a file that was changed meanwhile.
    cut(dropped, shard.rows, path, pause=pause)
    return path


def _order(shard: Shard, job: Job, file_id: str, services: Services, *, total: int) -> BatchOrder:
    """Say in the metadata whose batch it is: how it is found again, by us and by people."""
    place = f", shard {shard.number} of {total}"
    name = shown(job.name)[: limits.METADATA_VALUE - len(place)]
    return BatchOrder(
        input_file_id=file_id,
        endpoint=shard.endpoint,
        completion_window=services.settings.openai.completion_window,
        metadata={
            "batchd_root": services.ledger.root,
            "batchd_job": shard.job,
            "batchd_shard": shard.id,
            "description": name + place,
        },
        output_expires_seconds=services.settings.openai.keep_files_seconds,
    )


async def _opened(shard: Shard, batch: Batch, services: Services) -> None:
    now = services.clock.now()
    first_look = now + services.settings.batches.poll_min_seconds
    opened = BatchOpened(shard=shard.id, batch=batch.id, due_at=first_look)
    await services.ledger.record(opened, at=now)
    log.info("batch.opened", job=shard.job, shard=shard.id, batch=batch.id)


async def _refused(shard: Shard, refusal: RemoteRefused, services: Services) -> None:
    """A definite no; but a file just uploaded may only not be seen yet (reference E.3)."""
    if "Cannot find file" not in str(refusal):
        if refusal.status in _NO_SUCH_ROUTE:
            # The address is wrong, not the request: the operator's to mend, and nobody's to pay.
            await _defer(shard, ReasonCode.PROVIDER_UNAVAILABLE, refusal, services)
            return
        await _end(shard, refusal, services)
        return
    file_id = (await services.ledger.shard(shard.id)).file_id
    again = (shard.tries + 1) % _UPLOAD_AGAIN_EVERY == 0 or not await _may_exist(file_id, services)
    await _defer(shard, ReasonCode.FILE_UNSEEN, refusal, services, upload_again=again)


async def _may_exist(file_id: str | None, services: Services) -> bool:
    """Whether it is worth waiting for a file that the provider said it can't find (B.3)."""
    try:
        return file_id is not None and await services.remote.file_exists(file_id)
    except RemoteError:
        return True  # the next try will tell


async def _end(
    shard: Shard, refusal: RemoteRefused, services: Services, *before: SubmitStarted
) -> None:
    """Nothing will help: collect judges its requests, as after any other end."""
    error = BatchError(code=refusal.code, message=str(refusal))
    now = services.clock.now()
    refused = SubmitRefused(shard=shard.id, errors=(error,), due_at=now)
    await services.ledger.record(*before, refused, at=now)
    log.warning("batch.refused", job=shard.job, shard=shard.id, text=str(refusal))


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
        reason=reason,
        text=str(error),
        again_in_seconds=round(deferred.due_at - now, 1),
    )


async def _doubt(
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
    doubted = SubmitDoubted(shard=shard.id, reason=reason, text=str(error), due_at=now + wait)
    await services.ledger.record(doubted, at=now)
    log.warning(
        "submit.doubted",
        job=shard.job,
        shard=shard.id,
        reason=reason,
        text=str(error),
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
        longest = services.settings.batches.poll_max_seconds
        await _doubt(shard, ReasonCode.DOUBT_UNSETTLED, error, services, at_least=longest)
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
    started = shard.submit_started_at or 0.0
    walk = _Walk(started=started, elapsed=services.clock.now() - started)
    after: str | None = None
    for _ in range(_MANY_PAGES):
        page = await services.remote.list_batches(after=after)
        for batch in page.batches:
            if await _is_ours(batch, shard, services):
                return batch
        if not page.has_more or not page.batches or walk.is_far_enough(page):
            return None
        after = page.batches[-1].id
    raise _ListWithoutEnd(f"the provider's list did not end after {_MANY_PAGES} pages")


class _Walk:
    """Knows when a list was walked far enough back to say that something is not in it.

    No reference promises an order. So what is old ends the walk only where everything so far came
    newest first, and one page later: a wrong "not there" is a second bill.
    """

    def __init__(self, *, started: float, elapsed: float) -> None:
        self._oldest = started - _BEFORE
        self._elapsed = elapsed
        self._last = math.inf
        self._newest_first = True
        self._old_pages = 0

    def is_far_enough(self, page: BatchPage) -> bool:
        """Take the next page; whether the batch can't be on those behind it."""
        times = [batch.created_at for batch in page.batches]
        if self._last == math.inf:
            # By the provider's own clock, too: ours may have been years ahead at the call.
            newest = max((time for time in times if time is not None), default=self._oldest)
            self._oldest = min(self._oldest, newest - self._elapsed - _BEFORE)
        for time in times:
            self._newest_first &= time is not None and time <= self._last
            self._last = self._last if time is None else time
        self._old_pages += all(time is not None and time < self._oldest for time in times)
        return self._newest_first and self._old_pages > 1


async def _is_ours(batch: Batch, shard: Shard, services: Services) -> bool:
    """Match by metadata, or by input file where a server drops the metadata.

    A batch that another shard holds never matches.
    """
    named = (batch.metadata.get("batchd_root"), batch.metadata.get("batchd_shard"))
    if named == (None, None):
        matches = shard.file_id is not None and batch.input_file_id == shard.file_id
    else:
        matches = named == (services.ledger.root, shard.id)
    if not matches:
        return False
    return await services.ledger.batch_holder(batch.id) in (None, shard.id)
