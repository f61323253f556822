"""All notices together end with the daemon."""

from __future__ import annotations

import anyio

from batchd.notices.keeping import keep_notices
from tests.control.speaking import until
from tests.houses import drop, live, open_services, requests
from tests.notices.receiver import receiving


async def test_ends_are_told_and_hearts_beat_until_it_is_cancelled(tmp_path):
    async with receiving() as receiver:
        notify = {"on_complete": [receiver.address], "heartbeat_url": receiver.address}
        async with (
            open_services(tmp_path, notify=notify) as services,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(keep_notices, services, ("sk-x",))
            drop(tmp_path, "a.jsonl", requests(1))
            await live(services, deliveries=1)

            def move() -> None:
                services.clock.advance(2.0)
                for name in services.crews:
                    services.beat(name)

            await until(
                lambda: {first.split()[0] for first, _, _ in receiver.calls} == {"GET", "POST"},
                move=move,
            )
            tasks.cancel_scope.cancel()
