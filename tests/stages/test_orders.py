"""An empty file inbox/JOB.cancel cancels a job, where it is somebody's who may."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from batchd.control.presence import Presence
from batchd.control.why import Answer
from batchd.core.reasons import ReasonCode
from batchd.runtime import wishes
from batchd.runtime.services import Services
from batchd.spool.bulletin import inbox_seen
from batchd.stages import claim
from tests.control.asking import ask, open_batches
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, requests

BERT = 61_002


async def one_open(services: Services) -> str:
    await open_batches(services, "a.jsonl")
    return str(await services.ledger.last_job())


def order(services: Services, job: str) -> Path:
    path = services.folders.inbox / f"{job}.cancel"
    path.touch()
    return path


def why(services: Services, path: Path) -> Answer:
    """As somebody asks beside a daemon that has looked."""
    seen = inbox_seen(services.folders.var)
    inbox, looked_ago = seen or (None, 0.0)
    daemon = Presence(is_running=True, pid=1, since=0.0, inbox=inbox, looked_ago=looked_ago)
    return ask(services.folders.root, str(path), now=services.clock.now(), daemon=daemon)


async def belongs_to(services: Services, uid: int) -> None:
    def work(connection: sqlite3.Connection, uid: int) -> None:
        connection.execute("UPDATE jobs SET owner = ?", (uid,))

    await services.ledger.lend(partial(work, uid=uid))


async def test_an_order_is_done_at_the_next_look_and_taken_away(tmp_path: Path):
    async with open_services(tmp_path) as services:
        job = await one_open(services)
        path = order(services, job)

        await claim.run_once(services)

        found = await services.ledger.job(job)
        assert found.cancelled_at == services.clock.now()
        assert (found.cancel_text or "").endswith("with a file in inbox/")
        assert not path.exists()
        assert len(await services.ledger.jobs_in("claimed")) == 0  # type: ignore[arg-type]


async def test_one_for_what_is_delivered_or_cancelled_is_taken_away_and_changes_nothing(
    tmp_path: Path,
):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "done.jsonl", requests(1))
        await live(services, deliveries=1)
        delivered = str(await services.ledger.last_job())
        cancelled = await one_open(services)
        await wishes.cancel(cancelled, services, by="anna")
        before = await services.ledger.history_of(cancelled)
        paths = [order(services, delivered), order(services, cancelled)]

        await claim.run_once(services)

        assert not any(path.exists() for path in paths)
        assert await services.ledger.history_of(cancelled) == before
        assert (await services.ledger.job(delivered)).cancelled_at is None


async def test_one_for_no_job_stays_and_says_so(tmp_path: Path):
    async with open_services(tmp_path) as services:
        path = order(services, "0zzzzz")

        await claim.run_once(services)

        assert path.exists()
        answer = why(services, path)
        assert answer.reason.code is ReasonCode.CANCEL_UNKNOWN
        assert "job 0zzzzz" in answer.reason.sentence


async def test_before_it_was_looked_at_nothing_is_said_of_it(tmp_path: Path):
    async with open_services(tmp_path) as services:
        assert why(services, order(services, "0zzzzz")).reason.code is ReasonCode.NEW


async def test_one_with_content_is_no_order(tmp_path: Path):
    async with open_services(tmp_path) as services:
        job = await one_open(services)
        path = order(services, job)
        path.write_text("?")

        await claim.run_once(services)

        assert path.exists()
        assert (await services.ledger.job(job)).cancelled_at is None
        assert why(services, path).reason.code is ReasonCode.NOT_WANTED_NAME


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
async def test_somebody_elses_stays_and_says_whose_it_is_and_its_owners_is_done(tmp_path: Path):
    async with open_services(tmp_path) as services:
        job = await one_open(services)
        path = order(services, job)
        os.chown(path, BERT, -1)
        (services.folders.var / "inbox.json").unlink(missing_ok=True)  # it is seconds old by then

        await claim.run_once(services)

        assert path.exists()
        assert (await services.ledger.job(job)).cancelled_at is None
        answer = why(services, path)
        assert answer.reason.code is ReasonCode.CANCEL_REFUSED
        assert f"(user {BERT})" in answer.reason.sentence

        await belongs_to(services, BERT)
        await claim.run_once(services)

        assert not path.exists()
        assert (
            await services.ledger.job(job)
        ).cancel_text == f"by user {BERT}, with a file in inbox/"


async def test_while_intake_rests_orders_are_done_all_the_same(tmp_path: Path):
    async with open_services(tmp_path, inbox={"max_claimed": 1}) as services:
        job = await one_open(services)
        order(services, job)

        await claim.run_once(services)

        assert services.intake.reason is ReasonCode.QUEUE_FULL
        assert (await services.ledger.job(job)).cancelled_at is not None


async def test_said_again_after_a_crash_it_is_said_once(tmp_path: Path):
    """Between the record and the unlink: the next life finds it cancelled, and takes it away."""
    clock = FakeClock()
    async with open_services(tmp_path, clock=clock) as services:
        job = await one_open(services)
        path = order(services, job)
        await wishes.cancel(job, services, by="anna")
    async with open_services(tmp_path, clock=clock) as services:
        await claim.run_once(services)

        assert not path.exists()
        events = [fact["event"] for fact in await services.ledger.history_of(job)]
        assert events.count("JobCancelled") == 1
