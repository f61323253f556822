"""The pages in a job's folder: where the file is, for people who look there."""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from batchd.control.jobs import Room
from batchd.control.ledger import Part
from batchd.control.pages import AT_LEAST_EVERY, Pages, keep_pages, rest_after
from batchd.runtime.services import Services
from tests.control.speaking import until
from tests.houses import drop, live, open_services, requests, turn, until_sent


async def write(pages: Pages, services: Services) -> None:
    jobs, live_shards = await services.ledger.unfinished()
    parts = [Part(shard, text) for shard, text in live_shards]
    room = Room.of(parts, services.settings.batches, now=services.clock.now())
    pages.write(jobs, parts, room=room, now=services.clock.now())


async def test_an_open_job_says_where_it_is_in_its_own_folder(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 1000.0
        drop(tmp_path, "reviews.jsonl", requests(3))
        await until_sent(services)
        services.clock.advance(30.0)
        await turn(services)
        await write(Pages(services.folders), services)

        (folder,) = (tmp_path / "var" / "work").iterdir()
        text = (folder / "STATUS.txt").read_text()
        assert "reviews.jsonl" in text
        assert "at-the-provider" in text
        assert services.remote.opened[0][1] in text
        assert f"batchd cancel {folder.name}, or an empty file" in text
        assert " s ago" in text
        page = json.loads((folder / "status.json").read_bytes())
        told = {"state", "since", "age_seconds", "reason", "completed", "requests", "cancel"}
        assert told <= page.keys()
        assert page["shards"][0].keys() >= {"batch", "status", "next_look"}
        assert page["reason"] == "at-the-provider"
        assert page["shards"][0]["requests"] == 3


async def test_pages_are_written_only_where_a_folder_is_and_never_bring_one_back(tmp_path):
    async with open_services(tmp_path, jobs={"keep_days": 0.0}) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        pages = Pages(services.folders)
        await live(services, deliveries=1)
        while await turn(services):
            await write(pages, services)
        await write(pages, services)
        assert list((tmp_path / "var" / "work").iterdir()) == []


async def test_a_page_never_gets_into_the_delivered_folder(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        pages = Pages(services.folders)
        for _ in range(60):
            await turn(services)
            await write(pages, services)
            services.clock.advance(1.0)
        (folder,) = (tmp_path / "outbox").glob("a--*")
        assert not (folder / "STATUS.txt").exists()


async def test_a_page_is_written_anew_though_nothing_changes_within_ten_minutes(tmp_path):
    """R34: a page that says how old a job is must not be hours old itself."""
    assert AT_LEAST_EVERY <= 600
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 100_000.0
        drop(tmp_path, "reviews.jsonl", requests(3))
        await until_sent(services)
        page = tmp_path / "var/work" / services.remote.opened[0][0][:6] / "status.json"

        def age() -> float:
            return json.loads(page.read_bytes())["age_seconds"] if page.exists() else 0.0

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_pages, services)
            await until(age)
            young, changes = age(), services.ledger.changes
            # In one step: whoever keeps the pages looks at the clock every two seconds.
            services.clock.advance(AT_LEAST_EVERY)
            await until(lambda: age() >= young + AT_LEAST_EVERY - 60)
            assert services.ledger.changes == changes
            tasks.cancel_scope.cancel()


async def kept(services: Services, page: Path, word: str) -> str:
    """What a page says once those who keep the pages have come to this word, at their first look."""

    def said() -> str:
        return page.read_text() if page.exists() else ""

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_pages, services)
        await until(lambda: word in said())
        tasks.cancel_scope.cancel()
    return said()


async def test_the_last_word_of_a_page_is_that_its_job_is_delivered(tmp_path):
    """Its folder stays for a day, and said for as long that it was at the provider."""
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await until_sent(services)
        job = services.remote.opened[0][0][:6]
        page = tmp_path / "var/work" / job / "STATUS.txt"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_pages, services)
            await until(lambda: page.exists() and "state     active" in page.read_text())
            await live(services, deliveries=1)
            services.clock.advance(AT_LEAST_EVERY)
            await until(lambda: "delivered since" in page.read_text())
            tasks.cancel_scope.cancel()

        text = page.read_text()
        assert f"reason    delivered: outbox/a--{job} is there (completed)" in text
        assert "cancel" not in text
        assert "batch " not in text
        told = json.loads(page.with_name("status.json").read_bytes())
        assert (told["state"], told["cancel"], told["shards"]) == ("delivered", None, [])


async def test_what_an_earlier_daemon_left_unsaid_is_said_by_the_next(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await until_sent(services)
        await write(Pages(services.folders), services)
        await live(services, deliveries=1)
        page = next((tmp_path / "var/work").glob("*/STATUS.txt"))
        assert "delivered" not in page.read_text()

        assert "delivered since" in await kept(services, page, "delivered since")


async def test_a_last_word_is_written_once(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        (folder,) = (tmp_path / "var/work").iterdir()
        (folder / "status.json").write_text('{"state": "active"}')
        await kept(services, folder / "STATUS.txt", "delivered since")

        assert Pages(services.folders).unended(set()) == []


def test_pages_that_take_long_are_written_less_often_but_never_too_seldom():
    assert rest_after(0.01) == 2.0
    assert rest_after(1.5) == 30.0
    assert rest_after(1000.0) == AT_LEAST_EVERY
