"""What a person asks of a job, done where it can be, and said with what happens next."""

from __future__ import annotations

from collections.abc import Sequence

from batchd.control.messages import Said
from batchd.core.errors import BatchdError
from batchd.core.model import JobState, Pause, ShardState
from batchd.core.names import folder_name, printable
from batchd.core.reasons import ReasonCode
from batchd.core.receipt import ENDINGS
from batchd.core.subjects import Job, Shard
from batchd.runtime import wishes
from batchd.runtime.services import Services

_AT_PROVIDER = (ShardState.SUBMITTING, ShardState.OPEN)
_OVER = (JobState.SETTLED, JobState.REJECTED, JobState.PUBLISHING)


class Impossible(BatchdError):
    """What is asked cannot be had any more, or not here."""


async def cancel(job: Job, services: Services, *, by: str) -> Said:
    """Cancel a job; one that has ended, or was cancelled before, stays as it is."""
    if job.cancelled_at is None and await wishes.cancel(job.id, services, by=by):
        return _said(job, _cancelled(job, await services.ledger.shards_of(job.id)))
    job = await _as_it_is(job, services)
    if job.state is JobState.DELIVERED:
        return _said(job, _delivered(job), changed=False)
    if job.state in _OVER:
        sentence = "there is nothing left to cancel: every request has its last word, and the"
        return _said(job, f"{sentence} folder is about to appear", changed=False)
    sentence = f"it was cancelled already ({job.cancel_text or job.cancel_why})"
    return _said(job, f"{sentence}; {_comes_back(job)}", changed=False)


def _cancelled(job: Job, shards: Sequence[Shard]) -> str:
    there = [shard for shard in shards if shard.state in _AT_PROVIDER]
    unsent = [shard for shard in shards if shard.state is ShardState.PLANNED]
    if job.joined:
        alone = f"cancelled; job {job.joined}, whose answers it was to have, goes on"
        return f"{alone}; {_comes_back(job)}"
    if not shards or len(unsent) == len(shards):
        return f"cancelled before anything of it was sent; {_comes_back(job)}"
    called_off = f"{len(there)} of {_batches(shards)} {_are(there)} called off"
    not_sent = f", {len(unsent)} {_are(unsent)} not sent" if unsent else ""
    return f"cancelled; {called_off}{not_sent}; what was answered is delivered: {_comes_back(job)}"


def _comes_back(job: Job) -> str:
    return f"outbox/{folder_name(job.id, job.name, ending=ENDINGS['cancelled'])} will appear"


async def hold(job: Job, services: Services, *, by: str) -> Said:
    """Hold a job. Raises `Impossible` where nothing of it will be sent anyway."""
    if job.joined:
        raise Impossible(f"its answers are those of job {job.joined}: hold that one")
    if job.hold == ReasonCode.HELD:
        return _said(job, f"it is held already ({job.hold_text})", changed=False)
    if not await wishes.hold(job.id, services, by=by):
        raise Impossible(_why_not_held(await _as_it_is(job, services)))
    return _said(job, _held(job, await services.ledger.shards_of(job.id)))


def _why_not_held(job: Job) -> str:
    if job.state is JobState.DELIVERED:
        return _delivered(job)
    if job.cancelled_at is not None:
        return "it was cancelled, and nothing more of it is sent anyway"
    return "nothing of it is left to send: its folder is about to appear"


def _held(job: Job, shards: Sequence[Shard]) -> str:
    there = [shard for shard in shards if shard.state in _AT_PROVIDER]
    goes_on = f"batchd release {job.id} lets it go on"
    if not there:
        return f"held; nothing of it is sent until it is released: {goes_on}"
    at_provider = f"{_batches(there)} at the provider {'goes' if len(there) == 1 else 'go'} on"
    return f"held; {at_provider}, and nothing more of it is sent until it is released: {goes_on}"


async def release(job: Job, services: Services, *, by: str) -> Said:
    """Let a held job go on; one that is not held stays as it is."""
    if job.hold is not None and await wishes.release(job.id, services, by=by):
        return _said(job, "released; it goes on, whatever the budget says")
    job = await _as_it_is(job, services)
    ended = _delivered(job) if job.state is JobState.DELIVERED else f"it is {job.state}"
    return _said(job, f"it is not held: {ended}", changed=False)


async def pause(what: Sequence[Pause], services: Services, *, by: str) -> Said:
    """Let these rest."""
    done = [one for one in what if await wishes.pause(one, services, by=by)]
    if not done:
        return Said(changed=False, sentence=f"{_and(what)} {_rest(what)} already")
    follows = [_PAUSED[one] for one in done]
    return Said(changed=True, sentence=f"paused; {'; '.join(follows)}; batchd resume goes on")


async def resume(what: Sequence[Pause], services: Services, *, by: str) -> Said:
    """Let these go on."""
    done = [one for one in what if await wishes.resume(one, services, by=by)]
    if not done:
        return Said(changed=False, sentence=f"{_and(what)} did not rest")
    return Said(changed=True, sentence=f"{_and(done)} {'goes' if len(done) == 1 else 'go'} on")


async def _as_it_is(job: Job, services: Services) -> Job:
    """It may have gone on while it was asked, and one long delivered have been forgotten."""
    return await services.ledger.find_job(job.id) or job


_PAUSED = {
    Pause.INTAKE: "files stay in the inbox",
    Pause.SUBMISSION: "no batch is created, and those that are open go on",
}


def _said(job: Job, sentence: str, *, changed: bool = True) -> Said:
    return Said(job=job.id, changed=changed, sentence=printable(sentence))


def _delivered(job: Job) -> str:
    return f"it was delivered ({job.outcome}) as outbox/{job.folder}"


def _batches(shards: Sequence[Shard]) -> str:
    return f"{len(shards)} batch{'' if len(shards) == 1 else 'es'}"


def _are(shards: Sequence[Shard]) -> str:
    return "is" if len(shards) == 1 else "are"


def _and(what: Sequence[Pause]) -> str:
    return " and ".join(what)


def _rest(what: Sequence[Pause]) -> str:
    return "rests" if len(what) == 1 else "rest"
