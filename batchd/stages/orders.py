"""What files in the inbox order is done as if it had been said: for who has a folder and no shell.

The same rights as at the control socket: a job's owner, the daemon's user and root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from batchd.core.reasons import ReasonCode
from batchd.core.rights import may_change
from batchd.runtime import wishes
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.inbox import Observed
from batchd.spool.orders import Order, orders_in
from batchd.spool.users import name_of

log = structlog.get_logger()


async def obey(paths: Sequence[Path], services: Services) -> list[Observed]:
    """Do what these files say; return those that stay where they are, and why."""
    orders = await in_thread(lambda: list(orders_in(paths)))
    known = await services.ledger.known_jobs(order.job for order in orders) if orders else set()
    staying, now = [], services.clock.monotonic()
    for order in orders:
        is_known = order.job in known
        reason = await _obey(order, services) if is_known else ReasonCode.CANCEL_UNKNOWN
        if reason is not None:
            name = str(order.path.relative_to(services.folders.inbox))
            staying.append(Observed(name, 0, now, reason))
    return staying


async def _obey(order: Order, services: Services) -> ReasonCode | None:
    job = await services.ledger.find_job(order.job)
    if job is None:
        return ReasonCode.CANCEL_UNKNOWN  # forgotten at this very moment
    if not may_change(order.owner, owner=job.owner, service=os.geteuid()):
        return ReasonCode.CANCEL_REFUSED
    # Said before it is taken away: a crash between the two says it twice, which is once.
    if job.cancelled_at is None:
        name = await in_thread(name_of, order.owner)
        await wishes.cancel(job.id, services, by=f"by {name}, with a file in inbox/")
    return await in_thread(_take_away, order)


def _take_away(order: Order) -> ReasonCode | None:
    with contextlib.suppress(FileNotFoundError):
        try:
            order.path.unlink()
        except PermissionError as error:
            log.debug("order.stays", file=order.path.name, text=str(error))
            return ReasonCode.CANNOT_MOVE
    return None
