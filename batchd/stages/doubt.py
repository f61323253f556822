"""SUBMITTING -> OPEN or PLANNED. Settles what a crash or a broken call has left in doubt."""

from __future__ import annotations

import math

import structlog

from batchd.core.errors import BatchdError, RemoteRefused
from batchd.core.events import SubmitDeferred
from batchd.core.model import Batch, BatchPage
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Shard
from batchd.runtime.services import Services
from batchd.stages import noting

log = structlog.get_logger()

_BEFORE = 600.0  #: seconds a provider's clock may be behind ours when we look for a lost batch
_MANY_PAGES = 100  #: pages of a list that doesn't end are no answer


async def ask(shard: Shard, services: Services) -> None:
    """A crash or a broken call left no word whether the provider has the batch. It knows."""
    if await services.ledger.shard(shard.id) != shard:
        return  # listed before its own earlier turn had ended: that turn has settled it
    try:
        batch = await _find(shard, services)
    except (RemoteRefused, _ListWithoutEnd) as error:
        # Never guessed: a wrong "no" is a second bill.
        longest = services.settings.batches.poll_max_seconds
        await noting.doubted(shard, ReasonCode.DOUBT_UNSETTLED, error, services, at_least=longest)
        return
    if batch is not None:
        await noting.opened(shard, batch, services)
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
