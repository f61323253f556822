"""What is asked over the socket, and what is answered: on a real socket, by the real client."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest
from starlette.requests import Request

from batchd.control.app import bounded
from batchd.control.messages import Said
from batchd.control.routes import Route
from batchd.runtime import wishes
from batchd.runtime.listener import STAY
from batchd.stages import claim
from tests.control.asking import open_batches
from tests.control.raw import raw
from tests.control.speaking import listening_house, refusal, say
from tests.houses import drop, live, requests


async def one_open(services) -> str:
    await open_batches(services, "a.jsonl")
    return str(await services.ledger.last_job())


async def test_status_is_what_the_command_says(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        await open_batches(services, "a.jsonl")

        told = await say(services, "GET", "status")

        assert [batch["name"] for batch in told["batches"]["open"]] == ["a.jsonl"]
        assert told["root"] == str(tmp_path)


async def test_jobs_are_listed_youngest_first_and_filtered(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        drop(tmp_path, "done.jsonl", requests(1))
        drop(tmp_path, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await open_batches(services, "open.jsonl")

        async def files(**asked) -> list[str]:
            return [job["file"] for job in (await say(services, "GET", "jobs", **asked))["jobs"]]

        assert (await files())[0] == "open.jsonl"
        assert sorted(await files()) == ["bad.jsonl", "done.jsonl", "open.jsonl"]
        assert await files(state="rejected") == ["bad.jsonl"]
        assert await files(state="active") == ["open.jsonl"]
        assert await files(since=services.clock.now() + 1) == []
        assert await files(owner=os.getuid() + 1) == []
        assert len(await files(limit=2)) == 2
        assert (await say(services, "GET", "jobs", limit=2))["more"] is True


async def test_jobs_of_one_content_are_found_after_another(tmp_path: Path):
    """Whoever drops a retry file asks whether somebody did already."""
    async with listening_house(tmp_path) as services:
        for name in ("a.jsonl", "b.jsonl"):
            drop(tmp_path, name, requests(1))
            await live(services, deliveries=1 + (name == "b.jsonl"))
        second, first = (await say(services, "GET", "jobs"))["jobs"]
        sha256 = (await services.ledger.job(first["job"])).sha256

        async def found(**asked) -> list[str]:
            told = await say(services, "GET", "jobs", sha256=sha256, **asked)
            return [job["job"] for job in told["jobs"]]

        assert await found() == [first["job"], second["job"]]
        assert await found(after=first["job"]) == [second["job"]]
        assert (await say(services, "GET", "jobs", sha256="0" * 64))["jobs"] == []


@pytest.mark.parametrize("asked", [{"state": "no"}, {"limit": "many"}, {"since": "noon"}])
async def test_a_filter_that_is_none_is_said(tmp_path: Path, asked):
    async with listening_house(tmp_path) as services:
        assert (await refusal(services, "GET", "jobs", **asked)).code == "invalid"


async def test_a_job_is_shown_whole_by_the_beginning_of_its_id(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())

        told = await say(services, "GET", "jobs", job[:5])

        assert (told["job"]["job"], told["job"]["outcome"]) == (job, "completed")
        assert told["answered"] == 2
        assert told["timeline"][0]["event"] == "JobClaimed"
        assert told["timeline"][-1]["event"] == "JobDelivered"
        assert told["batches"][0]["batch"].startswith("batch")


async def test_what_is_not_there_or_not_one_is_said(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        await open_batches(services, "a.jsonl", "b.jsonl")
        job = str(await services.ledger.last_job())

        assert (await refusal(services, "GET", "jobs", "zzzzzz")).code == "not-found"
        assert (await refusal(services, "POST", "jobs", "zzzzzz", "cancel")).code == "not-found"
        several = await refusal(services, "POST", "jobs", job[:2], "cancel")
        assert several.code == "ambiguous"
        assert job in str(several)
        head, body = await raw(
            services, b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert (b"404" in head, json.loads(body)["code"]) == (True, "not-found")
        assert not any(one.cancelled_at for one in await services.ledger.jobs_in("active"))


async def test_an_open_job_is_cancelled_and_said_what_becomes_of_it(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        job = await one_open(services)

        told = await say(services, "POST", "jobs", job, "cancel", body={"because": "a mistake"})
        again = await say(services, "POST", "jobs", job, "cancel")

        assert told["changed"] is True
        assert told["sentence"] == (
            "cancelled; 1 of 1 batch is called off; what was answered is delivered:"
            f" outbox/a--{job}.cancelled will appear"
        )
        assert (again["changed"], again["sentence"].split(" (")[0]) == (
            False,
            "it was cancelled already",
        )
        assert (await services.ledger.job(job)).cancel_text.endswith(": a mistake")


async def test_before_it_is_sent_a_job_is_held_released_and_cancelled(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        await claimed(services, "a.jsonl")
        job = str(await services.ledger.last_job())

        held = await say(services, "POST", "jobs", job, "hold")
        again = await say(services, "POST", "jobs", job, "hold")
        assert [one["job"] for one in (await say(services, "GET", "jobs", state="held"))["jobs"]]
        released = await say(services, "POST", "jobs", job, "release")
        not_held = await say(services, "POST", "jobs", job, "release")
        cancelled = await say(services, "POST", "jobs", job, "cancel")

        assert [one["changed"] for one in (held, again, released, not_held, cancelled)] == [
            *(True, False, True, False, True),
        ]
        assert f"batchd release {job}" in held["sentence"]
        assert cancelled["sentence"].startswith("cancelled before anything of it was sent")


async def claimed(services, name: str) -> None:
    drop(services.folders.root, name, requests(2))
    for _ in range(3):
        await claim.run_once(services)
        services.clock.advance(2.0)


async def test_what_is_delivered_stays_as_it_is(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())

        cancelled = await say(services, "POST", "jobs", job, "cancel")

        assert cancelled["changed"] is False
        assert cancelled["sentence"] == f"it was delivered (completed) as outbox/a--{job}"
        assert (await refusal(services, "POST", "jobs", job, "hold")).code == "impossible"
        assert (await say(services, "POST", "jobs", job, "release"))["changed"] is False


async def test_one_that_was_cancelled_is_not_held(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        job = await one_open(services)
        await wishes.cancel(job, services, by="anna")

        assert (await refusal(services, "POST", "jobs", job, "hold")).code == "impossible"


async def test_intake_and_submission_rest_and_go_on(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        first = await say(services, "POST", "pause", body={"what": "intake"})
        both = await say(services, "POST", "pause")
        again = await say(services, "POST", "pause", body={"what": "all"})
        assert set(await services.ledger.pauses()) == {"intake", "submission"}
        on = await say(services, "POST", "resume")

        assert [one["changed"] for one in (first, both, again, on)] == [True, True, False, True]
        assert first["sentence"] == "paused; files stay in the inbox; batchd resume goes on"
        assert on["sentence"] == "intake and submission go on"
        assert await services.ledger.pauses() == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"what": "everything"}, "invalid"),
        ({"wat": "all"}, "invalid"),
        ({"what": "x" * 20_000}, "too-large"),
    ],
)
async def test_a_body_that_is_not_asked_for_changes_nothing(tmp_path: Path, body, code):
    async with listening_house(tmp_path) as services:
        assert (await refusal(services, "POST", "pause", body=body)).code == code
        assert await services.ledger.pauses() == {}


async def test_a_persons_words_are_cut_and_cannot_steer_a_terminal(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        job = await one_open(services)

        words = "\x1b[31m" + "x" * 500
        await say(services, "POST", "jobs", job, "hold", body={"because": words})
        told = await say(services, "POST", "jobs", job, "hold")

        assert "\x1b" not in told["sentence"]
        assert len((await services.ledger.job(job)).hold_text) < 250


async def test_an_answer_that_takes_too_long_is_a_no_with_a_word():
    route = Route("slow", "GET", "/slow", "Nothing.", Said, seconds=0.05)
    stays: list[float] = []

    async def never(_: Request) -> Said:
        await anyio.sleep_forever()
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/slow", "headers": [], STAY: stays.append}
    response = await bounded(never, route)(Request(scope))

    assert response.status_code == 503
    assert json.loads(bytes(response.body))["sentence"] == "it took too long; ask again"
    assert stays[0] > route.seconds, "the connection lasts longer than what is said over it"


async def test_the_description_is_served(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        head, body = await raw(
            services, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )

        assert b"200 OK" in head
        assert json.loads(body)["openapi"].startswith("3.")
