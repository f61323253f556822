"""PLANNED -> SUBMITTING -> OPEN. The one stage that can be in doubt, and settles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from batchd.core import limits
from batchd.core.admission import HOUR, Admission, Created, Limits, Load, Resting, admit
from batchd.core.errors import RemoteDenied, RemoteError, RemoteRefused, RemoteUnavailable
from batchd.core.events import FileUploaded, ShardCancelled
from batchd.core.model import BatchError, BatchOrder, Pause, ShardState
from batchd.core.names import shown
from batchd.core.pacing import has_expired
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Job, Shard
from batchd.core.unusable import unsent_for, why_unsent
from batchd.core.verdicts import NO_ROOM_CODE
from batchd.rounds.lines import Lines, lines_of
from batchd.runtime.loop import LIGHT_BYTES
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.placing import make_folder, remove_file
from batchd.stages import doubt, noting, room
from batchd.store.lookups import Submission

log = structlog.get_logger()

NAME = "submit"
WAKES = ("poll", "collect")
LIMIT = 4  #: shards on their way at once: uploads share one line
_MANY_PLANNED = 1000  #: planned shards looked through for those that there is room for
_UPLOAD_AGAIN_EVERY = 3  #: tries with a file the provider doesn't find before it is sent anew
_NO_SUCH_ROUTE = frozenset({404, 405})
#: What a file is refused with. A 404 or 405 speaks of the address, which is the operator's.
_OF_THE_FILE = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class _Upload:
    """A shard's file at the provider."""

    file_id: str
    metadata: Mapping[str, str]  #: what its batch is to bear
    events: tuple[FileUploaded, ...] = ()  #: what is still to be recorded of it


async def run_once(services: Services) -> int:
    """End what was called off, settle what is in doubt, then submit as far as there is room."""
    ended = await _call_off(services)
    if services.rest.is_on:
        return ended
    now = services.clock.now()
    reach = services.crews[NAME].reach
    doubtful = await services.ledger.shards_due(ShardState.SUBMITTING, now=now, most=reach)
    started = [services.start(NAME, shard.id, doubt.ask, shard, services) for shard in doubtful]
    for shard in await _admitted(services, now):
        is_light = shard.size <= LIGHT_BYTES
        started.append(services.start(NAME, shard.id, _submit, shard, services, light=is_light))
    return ended + sum(started)


async def next_look(services: Services) -> float | None:
    """When a doubt may be settled, a deferred shard is due, or another hour has begun."""
    ledger, now = services.ledger, services.clock.now()
    due, some_planned = await ledger.next_submission(now=now)
    dues = [] if due is None else [due]
    created = await ledger.created_since(now - HOUR) if some_planned else Created()
    if created.number >= services.settings.batches.max_per_hour and created.oldest is not None:
        dues.append(created.oldest + HOUR)
    return min((due - now for due in dues if due > now), default=None)


async def _call_off(services: Services) -> int:
    """End the shards of cancelled jobs that have no batch: they get none."""
    crew = services.crews[NAME]
    shards = await services.ledger.shards_called_off()
    # One on its way finds out by itself: it looks again before it says so to the provider.
    shards = [shard for shard in shards if not crew.is_busy(shard.id)]
    jobs = {shard.job for shard in shards}
    told = {id: why_unsent(await services.ledger.job(id)) for id in jobs}
    await _end_unsent(shards, told, services)
    return len(shards)


async def _end_unsent(
    shards: Sequence[Shard], told: Mapping[str, tuple[BatchError, ...]], services: Services
) -> None:
    """End shards without a batch; `told`: what their requests are told, by job."""
    now = services.clock.now()
    ends = [ShardCancelled(shard=one.id, errors=told[one.job], due_at=now) for one in shards]
    await services.ledger.record(*ends, at=now)
    for shard in shards:
        log.info("shard.cancelled", job=shard.job, shard=shard.id)
    if shards:
        services.bells["collect"].ring()


async def _admitted(services: Services, now: float) -> list[Shard]:
    """Choose the planned shards that may be sent now. Those that never may are ended."""
    crew = services.crews[NAME]
    if not crew.room:
        return []
    # A handful is enough nearly always; only where it finds no room may others behind it.
    for most in (crew.reach, _MANY_PLANNED):
        busy = frozenset(crew.busy)
        queue = await services.ledger.shards_to_submit(now=now, most=most, first=busy)
        if not queue:
            return []
        allowed = await room.limits(services)
        admission = await _admission(queue, busy, allowed, services, now)
        if len(admission.admitted) >= crew.room or len(queue) < most:
            break
    for shard in admission.too_large:
        await room.cut_up(shard, allowed.learned[shard.model], services)
    return list(admission.admitted)


async def _admission(
    queue: Sequence[Shard], busy: frozenset[str], allowed: Limits, services: Services, now: float
) -> Admission:
    ledger, crew = services.ledger, services.crews[NAME]
    # On their way, though the ledger doesn't say so before the upload has ended. Counted before
    # what is at the provider: one that gets there in between counts twice, not never.
    sent = Load.of(shard for shard in queue if shard.id in busy)
    load = await ledger.live_at_provider()
    created = await ledger.created_since(now - HOUR)
    return admit(
        [shard for shard in queue if shard.id not in busy and crew.is_free(shard.id)],
        load=load + sent,
        created=replace(created, number=created.number + sent.batches),
        limits=allowed,
        resting=Resting(is_paused=Pause.SUBMISSION in await ledger.pauses()),
        now=now,
    )


async def _submit(planned: Shard, services: Services) -> None:
    found = await services.ledger.submission(planned.id)
    shard, job = found.shard, found.job
    if shard != planned:
        return  # listed before its own earlier turn had ended; it may be asked to wait by now
    if found.is_paused or job.hold is not None or job.cancelled_at is not None:
        return
    if errors := await _is_unsent(found, services):
        await _end_unsent([shard], {shard.job: errors}, services)
        return
    try:
        upload = await _uploaded(shard, job, services)
    except RemoteRefused as refusal:
        if refusal.status not in _OF_THE_FILE:
            raise
        await noting.refused(shard, refusal, services, noting.started(shard, services))
        return
    except (RemoteDenied, RemoteUnavailable) as error:
        denied = isinstance(error, RemoteDenied)
        # In the ledger, too: `batchd why` reads there what the file waits for.
        reason = ReasonCode.DENIED if denied else ReasonCode.PROVIDER_UNAVAILABLE
        await noting.deferred(shard, reason, error, services)
        raise
    await _create(found, upload, services)


async def _is_unsent(found: Submission, services: Services) -> tuple[BatchError, ...]:
    """Return why it is not even sent. A job of ten thousand shards is read for one in trouble."""
    if not found.found_no_model:
        return ()
    return unsent_for(found.shard, await services.ledger.shards_of(found.shard.job))


async def _create(found: Submission, upload: _Upload, services: Services) -> None:
    shard, now = found.shard, services.clock.now()
    order = _order(found, upload, services)
    # Recorded before the call: from here until BatchOpened, a crash means doubt, not loss. In one
    # transaction with the upload, which takes its time: somebody may have said meanwhile that it is
    # not to be sent. What rests keeps its uploaded file.
    started = noting.started(shard, services)
    may_begin = await services.ledger.begin(*upload.events, started, at=now)
    _tell_of(upload, shard)
    if not may_begin:
        return
    try:
        batch = await services.remote.create_batch(order)
    except RemoteRefused as refusal:
        await _refused(shard, refusal, services)
    except RemoteDenied as denial:
        await noting.deferred(shard, ReasonCode.DENIED, denial, services)
        raise
    except RemoteUnavailable as error:
        await _unavailable(shard, error, services)
    else:
        await noting.opened(shard, batch, services)


def _tell_of(upload: _Upload, shard: Shard) -> None:
    for one in upload.events:
        facts = {"input_file_id": one.file_id, "bytes": one.size}
        log.info("shard.uploaded", job=shard.job, shard=shard.id, **facts)


async def _uploaded(shard: Shard, job: Job, services: Services) -> _Upload:
    """Return its uploaded file: the one it has, unless that may be gone by now."""
    now, keep = services.clock.now(), services.settings.openai.keep_files_seconds
    if not shard.file_id or has_expired(shard.file_at, now, keep=keep):
        return await _upload(shard, job, services)
    lines = await in_thread(lines_of, job, services.work, services.recipes, pause=pause)
    return _Upload(shard.file_id, lines.metadata)


async def _upload(shard: Shard, job: Job, services: Services) -> _Upload:
    is_later = bool(job.task) and shard.round > 1  # of the first one all rows are known
    shards = await services.ledger.shards_of(job.id) if is_later else ()
    lines, path = await in_thread(_to_upload, shard, job, shards, services)
    file_id = await services.remote.upload(
        path, name=f"batchd-{services.ledger.root}-{shard.id}.jsonl"
    )
    size = await in_thread(_was_uploaded, lines, path, services.work.shard_file(job.id, shard.id))
    event = FileUploaded(shard=shard.id, file_id=file_id, size=size, due_at=services.clock.now())
    return _Upload(file_id, lines.metadata, (event,))


def _to_upload(
    shard: Shard, job: Job, shards: Sequence[Shard], services: Services
) -> tuple[Lines, Path]:
    # For what comes back. Made here, in a thread that runs anyway.
    make_folder(services.work.answers(shard.job, shard.id, "output").parent)
    lines = lines_of(job, services.work, services.recipes, pause=pause)
    return lines, lines.file_of(shard, shards)


def _was_uploaded(lines: Lines, path: Path, own: Path) -> int:
    """Return how many bytes were sent. Raises `InputChanged` where they are not what was planned."""
    lines.must_be_unchanged()
    size = path.stat().st_size
    if path == own:
        remove_file(path)  # cut for this upload, and cut again if need be
    return size


def _order(found: Submission, upload: _Upload, services: Services) -> BatchOrder:
    """Say in the metadata whose batch it is: how it is found again, by us and by people."""
    shard, place = found.shard, f", shard {found.shard.number} of {found.shards}"
    name = shown(found.job.name)[: limits.METADATA_VALUE - len(place)]
    return BatchOrder(
        input_file_id=upload.file_id,
        endpoint=shard.endpoint,
        completion_window=services.settings.openai.completion_window,
        metadata={
            **upload.metadata,
            "batchd_root": services.ledger.root,
            "batchd_job": shard.job,
            "batchd_shard": shard.id,
            "description": name + place,
        },
        output_expires_seconds=services.settings.openai.keep_files_seconds,
    )


async def _refused(shard: Shard, refusal: RemoteRefused, services: Services) -> None:
    """A definite no; but a file just uploaded may only not be seen yet (reference E.3)."""
    if refusal.code == NO_ROOM_CODE:
        await room.refused(shard, refusal, services)
        return
    if "Cannot find file" not in str(refusal):
        if refusal.status in _NO_SUCH_ROUTE:
            # The address is wrong, not the request: the operator's to mend, and nobody's to pay.
            await noting.deferred(shard, ReasonCode.PROVIDER_UNAVAILABLE, refusal, services)
            return
        await noting.refused(shard, refusal, services)
        return
    file_id = (await services.ledger.shard(shard.id)).file_id
    again = (shard.tries + 1) % _UPLOAD_AGAIN_EVERY == 0 or not await _may_exist(file_id, services)
    await noting.deferred(shard, ReasonCode.FILE_UNSEEN, refusal, services, upload_again=again)


async def _may_exist(file_id: str | None, services: Services) -> bool:
    """Whether it is worth waiting for a file that the provider said it can't find (B.3)."""
    try:
        return file_id is not None and await services.remote.file_exists(file_id)
    except RemoteError:
        return True  # the next try will tell


async def _unavailable(shard: Shard, error: RemoteUnavailable, services: Services) -> None:
    if error.code == NO_ROOM_CODE and not error.may_have_happened:
        await room.refused(shard, error, services)
        return
    if error.may_have_happened:
        await noting.doubted(shard, ReasonCode.DOUBT, error, services)
    else:
        await noting.deferred(shard, ReasonCode.PROVIDER_UNAVAILABLE, error, services)
