"""Each end is told once, after it, whatever becomes of the telling and of us."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from batchd.notices.sending import Sender
from batchd.notices.telling import MOST_AT_ONCE, tell_of_jobs
from tests.control.speaking import until
from tests.houses import drop, live, open_services, requests

TELL = ["sh", "-c", 'echo "$BATCHD_NOTICE $BATCHD_FILE $BATCHD_OUTCOME" >> told; ls "$BATCHD_DIR"']


def told(root: Path) -> list[str]:
    file = root / "told"
    return sorted(file.read_text().splitlines()) if file.exists() else []


@asynccontextmanager
async def telling(root: Path, **notify):
    async with open_services(root, notify=notify) as services, anyio.create_task_group() as tasks:
        tasks.start_soon(tell_of_jobs, services, Sender(services, secrets=()))
        yield services
        tasks.cancel_scope.cancel()


async def all_told(services) -> None:
    """Wait for the ledger to say so; commands take the machine's time, not ours."""
    with anyio.fail_after(20):
        while await services.ledger.jobs_to_tell():
            await anyio.sleep(0.005)
            services.clock.advance(2.0)


async def test_each_end_is_told_once_to_whom_it_concerns(tmp_path):
    async with telling(tmp_path, on_complete=TELL, on_reject=TELL) as services:
        drop(tmp_path, "good.jsonl", requests(1))
        drop(tmp_path, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await all_told(services)
        for _ in range(5):
            services.clock.advance(2.0)
            await anyio.wait_all_tasks_blocked()
        (job,) = [j for j in await services.ledger.jobs_in("delivered") if j.outcome == "completed"]
        facts = [one["facts"] for one in await services.ledger.history_of(job.id)][-1]
        assert facts["text"] == "exit 0"
    assert told(tmp_path) == ["complete good.jsonl completed", "reject bad.jsonl rejected"]


async def test_a_crash_before_it_is_noted_tells_it_again_at_the_next_start(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)  # and nobody was told
    for _ in range(2):
        async with telling(tmp_path, on_complete=TELL) as services:
            await all_told(services)
    assert told(tmp_path) == ["complete a.jsonl completed"]


async def test_what_ended_while_nobody_wanted_to_know_is_no_news_later(tmp_path):
    async with telling(tmp_path, on_reject=TELL) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        drop(tmp_path, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await all_told(services)
    async with telling(tmp_path, on_complete=TELL) as services:
        await all_told(services)
        await anyio.wait_all_tasks_blocked()
    assert told(tmp_path) == ["reject bad.jsonl rejected"]


async def test_one_that_cannot_be_noted_is_noted_later_and_told_once(tmp_path):
    """A ledger that can't be written is one on a full disk, as far as this goes."""
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
    async with telling(tmp_path, on_complete=TELL) as services:
        await services.ledger.lend(lambda connection: connection.execute("PRAGMA query_only = 1"))
        await until(lambda: told(tmp_path), move=lambda: services.clock.advance(2.0))
        for _ in range(5):
            await anyio.wait_all_tasks_blocked()
            services.clock.advance(2.0)
        assert await services.ledger.jobs_to_tell()
        await services.ledger.lend(lambda connection: connection.execute("PRAGMA query_only = 0"))
        await all_told(services)
    assert told(tmp_path) == ["complete a.jsonl completed"]


async def test_those_that_hang_hold_neither_jobs_nor_more_than_their_share(tmp_path):
    hang = ["sh", "-c", "echo x >> begun; sleep 300"]
    async with telling(tmp_path, on_complete=hang) as services:
        for number in range(MOST_AT_ONCE + 3):
            drop(tmp_path, f"{number}.jsonl", requests(1, prefix=str(number)))
        await live(services, deliveries=MOST_AT_ONCE + 3)
        begun = tmp_path / "begun"
        enough = "x\n" * MOST_AT_ONCE
        await until(
            lambda: begun.exists() and begun.read_text() == enough,
            move=lambda: services.clock.advance(2.0),
        )
        assert len(await services.ledger.jobs_to_tell()) == MOST_AT_ONCE + 3
    assert begun.read_text() == enough
