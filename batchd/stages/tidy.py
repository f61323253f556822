"""DELIVERED -> forgotten, in steps: the work folder, the provider's copies, and the ledger's rows.

Nothing in outbox/ is ever touched. At the provider only what bears this root's id is removed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog

from batchd.core.errors import RemoteRefused
from batchd.core.events import FilesDeleted, JobTidied
from batchd.core.model import RemoteFile
from batchd.core.subjects import Job, Shard
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread

log = structlog.get_logger()

NAME = "tidy"
WAKES = ("claim",)
LIMIT = 4  #: things removed at once: nobody waits for it

_SECONDS_PER_DAY = 86_400.0
_FIRST_FORGET, _FORGET_EVERY = 60.0, 3600.0  #: seconds; of jobs delivered long ago
_AT_ONCE = 50  #: jobs forgotten in one transaction, so that nobody waits for it
_FIRST_SEARCH, _SEARCH_EVERY = 600.0, _SECONDS_PER_DAY  #: seconds; for uploads nobody remembers
#: Seconds until a file that nobody remembers is nobody's: no upload takes so long, and no two
#: clocks that are kept right differ by so much.
_ORPHAN_AGE = 21_600.0
_MANY_PAGES = 100  #: pages of a list that doesn't end are enough for today


_Work = Callable[[Services], Awaitable[None]]


async def run_once(services: Services) -> int:
    """Remove what has been kept for long enough."""
    now, reach = services.clock.now(), services.crews[NAME].reach
    before = now - services.settings.jobs.keep_days * _SECONDS_PER_DAY
    started = 0
    for job in await services.ledger.jobs_to_tidy(before=before, most=reach):
        started += services.start(NAME, job.id, _tidy, job, services)
    started += _now_and_then(_forget, services, every=_FORGET_EVERY, first=_FIRST_FORGET)
    if services.rest.is_on:
        return started
    if services.settings.openai.delete_files:
        for shard in await services.ledger.shards_to_clean(most=reach):
            started += services.start(NAME, shard.id, _delete_files, shard, services)
    started += _now_and_then(_delete_orphans, services, every=_SEARCH_EVERY, first=_FIRST_SEARCH)
    return started


async def next_look(services: Services) -> float | None:
    """Nobody waits for it: the loop's own tick is often enough."""
    return None


def _now_and_then(work: _Work, services: Services, *, every: float, first: float) -> bool:
    # Room first: a time that has come is used up by asking.
    if not services.crews[NAME].room or not services.is_time(
        work.__name__, every=every, first=first
    ):
        return False
    return services.start(NAME, work.__name__, work, services)


async def _tidy(job: Job, services: Services) -> None:
    await in_thread(services.work.remove, job.id)
    await services.ledger.record(JobTidied(job=job.id), at=services.clock.now())


async def _forget(services: Services) -> None:
    before = services.clock.now() - services.settings.jobs.history_days * _SECONDS_PER_DAY
    total = 0
    while forgotten := await services.ledger.forget(before=before, most=_AT_ONCE):
        total += forgotten
    if total:
        log.info("history.forgotten", jobs=total)


async def _delete_files(shard: Shard, services: Services) -> None:
    """Remove what was uploaded for a delivered shard, and what came of it."""
    files = [shard.file_id, shard.output_file, shard.error_file]
    try:
        for file_id in filter(None, files):
            await services.remote.delete_file(file_id)
        log.info("files.deleted", job=shard.job, shard=shard.id)
    except RemoteRefused as refusal:
        # Not every provider deletes files, and asking again would not help: they expire there.
        log.warning("files.not_deleted", job=shard.job, shard=shard.id, text=str(refusal))
    await services.ledger.record(FilesDeleted(shard=shard.id), at=services.clock.now())


async def _delete_orphans(services: Services) -> None:
    """Remove uploads whose answer was lost, and that were therefore sent again."""
    try:
        async for files in _uploads(services):
            for file in await _orphans(files, services):
                await services.remote.delete_file(file.id)
                log.info("orphan.deleted", input_file_id=file.id, name=file.name, bytes=file.bytes)
    except RemoteRefused as refusal:
        # Not every provider lists files; what nobody remembers expires there by itself.
        log.debug("orphans.unknown", text=str(refusal))


async def _uploads(services: Services) -> AsyncIterator[tuple[RemoteFile, ...]]:
    after: str | None = None
    for _ in range(_MANY_PAGES):
        page = await services.remote.list_files(after=after)
        yield page.files
        if not page.has_more or not page.files:
            return
        after = page.files[-1].id


async def _orphans(files: Sequence[RemoteFile], services: Services) -> list[RemoteFile]:
    """Return what bears our root's id, is old enough, and belongs to no shard."""
    ours = re.compile(rf"batchd-{re.escape(services.ledger.root)}-(.+)\.jsonl")
    old = services.clock.now() - _ORPHAN_AGE
    shards = {
        file.id: match[1]
        for file in files
        if (match := ours.fullmatch(file.name)) and (file.created_at or old) < old
    }
    # Not only by the file's id: a batch that recovery found again may not have told it.
    needed = await services.ledger.needed_files(shards)
    return [file for file in files if file.id in shards and file.id not in needed]
