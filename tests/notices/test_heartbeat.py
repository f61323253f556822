"""A beat while all is well; silence when it isn't."""

from __future__ import annotations

import anyio
from structlog.testing import capture_logs

from batchd.notices.heartbeat import beat
from tests.control.speaking import until
from tests.houses import open_services
from tests.notices.receiver import receiving


class Well:
    """A house's health, as a test wants it."""

    def __init__(self) -> None:
        self.hanging: dict[str, float] = {}
        self.can_read = True


async def test_it_beats_while_well_is_silent_while_not_and_goes_on(tmp_path):
    well = Well()
    async with receiving() as receiver:
        notify = {"heartbeat_url": receiver.address, "heartbeat_seconds": 10.0}
        async with (
            open_services(tmp_path, notify=notify) as services,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(beat, services, well)
            await until(lambda: len(receiver.calls) == 1)
            services.clock.advance(10.0)
            await until(lambda: len(receiver.calls) == 2)
            well.hanging = {"poll": 20.0}
            for _ in range(5):
                await anyio.wait_all_tasks_blocked()
                services.clock.advance(10.0)
            well.hanging, well.can_read = {}, False
            for _ in range(5):
                await anyio.wait_all_tasks_blocked()
                services.clock.advance(10.0)
            assert len(receiver.calls) == 2
            well.can_read = True
            await until(lambda: len(receiver.calls) > 2, move=lambda: services.clock.advance(10.0))
            tasks.cancel_scope.cancel()
    assert receiver.calls[0][0] == "GET /hook HTTP/1.1"


async def test_one_that_is_not_heard_is_said_once_until_it_is(tmp_path):
    async with receiving(500, 500, 500, 200) as receiver:
        notify = {"heartbeat_url": receiver.address, "heartbeat_seconds": 10.0}
        async with open_services(tmp_path, notify=notify) as services:
            with capture_logs() as lines:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(beat, services, Well())
                    await until(
                        lambda: any(line["event"] == "heartbeat.resumed" for line in lines),
                        move=lambda: services.clock.advance(1.0),
                    )
                    tasks.cancel_scope.cancel()
    told = [line["event"] for line in lines if line["event"].startswith("heartbeat.")]
    assert told == ["heartbeat.failed", "heartbeat.resumed"]
