"""What a person asks of a running house, recorded, told, and begun at once.

A person's word comes at any moment: whether a job's state has a place for it is decided in the
transaction that records it. What follows from it is the stages' business, whose bells are rung.
"""

from __future__ import annotations

import structlog

from batchd.core.events import JobCancelled, JobHeld, JobReleased, Paused, Resumed
from batchd.core.model import CancelWhy, Pause
from batchd.core.reasons import ReasonCode
from batchd.runtime.services import Services

log = structlog.get_logger()


async def cancel(job: str, services: Services, *, by: str) -> bool:
    """Let a job get no more answers than it has; False where it has had its last."""
    event = JobCancelled(job=job, why=CancelWhy.ASKED, text=by)
    granted = await services.ledger.wish(event, at=services.clock.now())
    if granted:
        log.info("job.cancelled", job=job, why=CancelWhy.ASKED, text=by)
        _wake(services)
    return granted


async def hold(job: str, services: Services, *, by: str) -> bool:
    """Send nothing more of a job; False where nothing of it is sent any more."""
    event = JobHeld(job=job, reason=ReasonCode.HELD, text=by)
    granted = await services.ledger.wish(event, at=services.clock.now())
    if granted:
        log.info("job.held", job=job, reason=ReasonCode.HELD, text=by)
        _wake(services)
    return granted


async def release(job: str, services: Services, *, by: str) -> bool:
    """Let a held job go on, whatever the budget says."""
    granted = await services.ledger.wish(JobReleased(job=job), at=services.clock.now())
    if granted:
        log.info("job.released", job=job, text=by)
        _wake(services)
    return granted


async def pause(what: Pause, services: Services, *, by: str) -> bool:
    """Let intake or submission rest; False where it does already."""
    if what in await services.ledger.pauses():
        return False
    await services.ledger.record(Paused(what=what, by=by), at=services.clock.now())
    log.info("daemon.paused", what=what, text=by)
    _wake(services)
    return True


async def resume(what: Pause, services: Services, *, by: str) -> bool:
    """Let it go on; False where it does not rest."""
    if what not in await services.ledger.pauses():
        return False
    await services.ledger.record(Resumed(what=what), at=services.clock.now())
    log.info("daemon.resumed", what=what, text=by)
    _wake(services)
    return True


def _wake(services: Services) -> None:
    """Whom it concerns depends on where the job is: all look, and most find nothing."""
    for bell in services.bells.values():
        bell.ring()
