"""Well while every loop turns and the ledger answers."""

from __future__ import annotations

import anyio

from batchd.notices.health import Health
from batchd.runtime.pulse import LOOP_SECONDS, SECONDS_BETWEEN
from tests.houses import open_services


async def turns(services, *, beating: bool, count: int) -> None:
    for _ in range(count):
        await anyio.wait_all_tasks_blocked()
        await services.ledger.glance()  # the ledger's thread has answered whoever asked before
        await anyio.wait_all_tasks_blocked()
        services.clock.advance(SECONDS_BETWEEN)
        if beating:
            for name in services.crews:
                services.beat(name)


async def test_who_turns_is_well_and_who_stops_is_named(tmp_path):
    async with open_services(tmp_path) as services, anyio.create_task_group() as tasks:
        health = Health(services)
        assert not health.can_read
        tasks.start_soon(health.keep)
        await turns(services, beating=True, count=8)
        assert health.can_read
        assert health.hanging == {}
        await turns(services, beating=False, count=int(LOOP_SECONDS / SECONDS_BETWEEN) + 3)
        assert set(services.crews) <= set(health.hanging)
        await turns(services, beating=True, count=4)
        assert health.hanging == {}
        tasks.cancel_scope.cancel()
