"""Asks an address again and again, only while all is well: silence is the alarm."""

from __future__ import annotations

import anyio
import structlog

from batchd.notices.health import Health
from batchd.notices.posting import TROUBLE, client
from batchd.runtime.services import Services

log = structlog.get_logger()

_LOOK_SECONDS = 60.0  #: between two looks at whether there is an address now


async def beat(services: Services, health: Health) -> None:
    """Beat until cancelled."""
    said = ""
    while True:
        notify = services.settings.notify
        address = notify.heartbeat_url
        if address and health.can_read and not health.hanging:
            trouble = await _asked(address, notify.timeout_seconds)
            if trouble and not said:
                log.warning("heartbeat.failed", text=trouble)
            elif said and not trouble:
                log.info("heartbeat.resumed")
            said = trouble
        seconds = notify.heartbeat_seconds if address else _LOOK_SECONDS
        await services.clock.wait(anyio.Event(), seconds)


async def _asked(address: str, seconds: float) -> str:
    """Return what went wrong, if something did."""
    try:
        with anyio.fail_after(seconds):
            async with client(seconds) as calling, calling.stream("GET", address) as answer:
                return "" if answer.is_success else f"HTTP {answer.status_code}"
    except TROUBLE as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
