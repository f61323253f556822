"""All notices together, for as long as the daemon runs."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from batchd.notices.health import Health
from batchd.notices.heartbeat import beat
from batchd.notices.problems import tell_of_problems
from batchd.notices.sending import Sender
from batchd.notices.telling import tell_of_jobs
from batchd.runtime.services import Services


async def keep_notices(services: Services, secrets: Sequence[str]) -> None:
    """Tell until cancelled. `secrets` are kept out of every command's environment."""
    sender, health = Sender(services, secrets=secrets), Health(services)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.keep)
        tasks.start_soon(tell_of_jobs, services, sender)
        tasks.start_soon(tell_of_problems, services, sender, health)
        tasks.start_soon(beat, services, health)
