"""`GET /v1/batches` (API reference D, L.8)."""

from __future__ import annotations

import pytest

from tests.sandbox.support import chat_lines, talking


async def test_batches_are_listed_newest_first_page_by_page():
    async with talking(batch_seconds=60) as talk:
        file_id = await talk.upload(chat_lines(1))
        ids = [(await talk.create(file_id))["id"] for _ in range(5)][::-1]
        first = (await talk.http.get("/v1/batches?limit=2")).json()
        second = (await talk.http.get(f"/v1/batches?limit=2&after={first['last_id']}")).json()
        third = (await talk.http.get(f"/v1/batches?limit=2&after={second['last_id']}")).json()
        async with talk.sdk() as sdk:
            walked = [batch.id async for batch in sdk.batches.list(limit=2)]

    assert [batch["id"] for batch in first["data"]] == ids[:2]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (ids[0], ids[1], True)
    assert [batch["id"] for batch in second["data"]] == ids[2:4]
    assert [batch["id"] for batch in third["data"]] == ids[4:]
    assert third["has_more"] is False
    assert walked == ids


async def test_twenty_are_listed_where_no_limit_is_given():
    async with talking(batch_seconds=60) as talk:
        file_id = await talk.upload(chat_lines(1))
        for _ in range(21):
            await talk.create(file_id)
        page = (await talk.http.get("/v1/batches")).json()

    assert len(page["data"]) == 20
    assert page["has_more"] is True


async def test_an_empty_list_has_no_ids():
    async with talking() as talk:
        page = (await talk.http.get("/v1/batches")).json()

    assert page == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("0", "integer_below_min_value"),
        ("101", "integer_above_max_value"),
        ("many", "invalid_type"),
    ],
)
async def test_a_limit_outside_1_to_100_is_refused(limit, code):
    async with talking() as talk:
        answer = await talk.http.get(f"/v1/batches?limit={limit}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["param"] == "limit"


async def test_an_unknown_cursor_is_404():
    async with talking() as talk:
        assert (await talk.http.get("/v1/batches?after=batch_x")).status_code == 404


async def test_a_new_batch_appears_only_after_the_lag():
    async with talking(batch_seconds=60, faults={"listing_lag_seconds": 0.4}) as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)))
        hidden = (await talk.http.get("/v1/batches")).json()["data"]
        known = await talk.http.get(f"/v1/batches/{batch['id']}")
        await talk.sandbox.world.pause(0.41)
        shown = (await talk.http.get("/v1/batches")).json()["data"]

    assert hidden == []
    assert known.status_code == 200
    assert [each["id"] for each in shown] == [batch["id"]]


async def test_a_hidden_batch_is_never_listed_but_known():
    async with talking(batch_seconds=60, faults={"hide_from_list": True}) as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)))
        talk.sandbox.set_faults(hide_from_list=None)
        other = await talk.create(batch["input_file_id"])
        page = (await talk.http.get("/v1/batches")).json()
        known = await talk.http.get(f"/v1/batches/{batch['id']}")

    assert [each["id"] for each in page["data"]] == [other["id"]]
    assert known.status_code == 200


async def test_a_vanished_batch_is_unknown_everywhere():
    async with talking(batch_seconds=60) as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)))
        other = await talk.create(batch["input_file_id"])
        talk.sandbox.set_faults(vanish=[batch["id"]])
        page = (await talk.http.get("/v1/batches")).json()
        answer = await talk.http.get(f"/v1/batches/{batch['id']}")
        talk.sandbox.set_faults(vanish=True)
        nothing = (await talk.http.get("/v1/batches")).json()

    assert [each["id"] for each in page["data"]] == [other["id"]]
    assert answer.status_code == 404
    assert nothing["data"] == []
