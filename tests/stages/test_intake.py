"""When files are not taken: a full queue, a full disk; and that it goes on by itself."""

from __future__ import annotations

from batchd.core.events import Paused, Resumed
from batchd.core.model import Pause
from tests.houses import delivered, drop, live, open_services, requests, turn, until_sent

ALL_THE_DISK_THERE_IS = 2**60


async def test_what_finds_no_room_waits_in_the_inbox_oldest_first_and_is_taken_later(tmp_path):
    async with open_services(tmp_path, inbox={"max_claimed": 2}) as services:
        for number in range(6):
            drop(tmp_path, f"f{number}.jsonl", requests(1, prefix=f"f{number}"))
        for _ in range(4):
            await turn(services)
            services.clock.advance(1.0)
        assert len(list((tmp_path / "var" / "work").iterdir())) == 2
        assert len(list((tmp_path / "inbox").glob("*.jsonl"))) == 4
        assert services.intake.reason == "queue-full"

        await live(services, deliveries=6)
        assert len(delivered(tmp_path)) == 6
        await turn(services)
        assert services.intake.reason is None


async def test_no_file_is_taken_while_the_disk_is_low(tmp_path):
    folders = {"min_free_bytes": ALL_THE_DISK_THERE_IS}
    async with open_services(tmp_path, folders=folders) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        for _ in range(10):
            await turn(services)
            services.clock.advance(5.0)
        assert (tmp_path / "inbox" / "a.jsonl").exists()
        assert services.intake.reason == "disk-low"


async def test_while_the_disk_is_low_batches_are_looked_at_and_results_wait_there(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await until_sent(services)
    remote, clock = services.remote, services.clock

    folders = {"min_free_bytes": ALL_THE_DISK_THERE_IS}
    async with open_services(tmp_path, remote=remote, clock=clock, folders=folders) as services:
        for _ in range(20):
            clock.advance(5.0)
            await turn(services)
        (shard,) = await services.ledger.shards_in("ended")  # type: ignore[arg-type]
        assert shard.batch
        assert remote.calls["download"] == 0

    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await live(services, deliveries=1)


async def test_while_the_intake_is_paused_no_file_is_taken_and_all_else_goes_on(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await until_sent(services)
        paused = Paused(what=Pause.INTAKE, by="anna")
        await services.ledger.record(paused, at=services.clock.now())
        drop(tmp_path, "b.jsonl", requests(1))
        await live(services, deliveries=1)
        for _ in range(5):
            services.clock.advance(1.0)
            await turn(services)
        assert set(delivered(tmp_path)) == {"a"}
        assert services.intake.reason == "paused"
        await services.ledger.record(Resumed(what=Pause.INTAKE), at=services.clock.now())
        await live(services, deliveries=2)
