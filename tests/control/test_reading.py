"""What the reading routes answer: the shapes of the commands, from a house that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from batchd.control.checking import as_known
from batchd.control.client import Refused
from batchd.control.messages import Logged, Reloaded, Standing
from batchd.control.shapes import ConfigShow, Spend, Status, Why
from batchd.core.errors import ConfigError
from batchd.runtime.reloading import Reloading
from batchd.runtime.systemd import Manager
from batchd.settings import Provenance
from tests.control.asking import open_batches
from tests.control.speaking import listening_house, say
from tests.houses import drop, live, request, requests, turn


async def refused(services, *asked, **more) -> str:
    with pytest.raises(Refused) as no:
        await say(services, *asked, **more)
    return no.value.code


async def test_status_and_why_are_typed_and_say_whence_a_setting_is(tmp_path: Path):
    async with listening_house(tmp_path, inbox={"ignore": ("draft-*",)}) as services:
        services.provenance = Provenance(origins={"inbox.ignore": "mine.toml, line 3"})
        (tmp_path / "inbox" / "draft-1.jsonl").touch()

        status = await say(services, "GET", "status", kind=Status)
        why = await say(services, "GET", "why", kind=Why, word="draft-1.jsonl")

        assert status.inbox.ignored == {"ignored-name": 1}
        assert status.source == why.source == "the daemon"
        assert why.setting is not None
        assert (why.setting.name, why.setting.origin) == ("inbox.ignore", "mine.toml, line 3")
        assert await refused(services, "GET", "why") == "invalid"


async def test_what_was_spent_is_added_up_as_it_is_asked_for(tmp_path: Path):
    async with listening_house(tmp_path, budget={"per_day": 2.0}) as services:
        drop(tmp_path, "a.jsonl", [*requests(2), request("x", model="gpt-4o")])
        await live(services, deliveries=1)

        by_model = await say(services, "GET", "spend", kind=Spend, by="model")
        later = await say(services, "GET", "spend", kind=Spend, since="2999-01-01")

        assert {line.key: line.requests for line in by_model.lines} == {
            "gpt-4o-mini": 2,
            "gpt-4o": 1,
        }
        assert by_model.budget.per_day == 2.0
        assert later.lines == []
        assert await refused(services, "GET", "spend", since="noon") == "invalid"


async def test_what_stands_against_a_file_is_what_the_budget_goes_by(tmp_path: Path):
    """`batchd check` holds a file against it: one held before comes first."""
    async with listening_house(tmp_path, budget={"per_job": 1e-9}) as services:
        drop(tmp_path, "dear.jsonl", requests(2))
        while not await services.ledger.jobs_in("held"):
            await turn(services)
            services.clock.advance(1.0)

        standing = await say(services, "GET", "standing", kind=Standing)

        (held,) = standing.waiting
        assert held.job == await services.ledger.last_job()
        assert held.estimate is not None
        limits = replace(services.settings.budget.limits, per_job=None, per_day=held.estimate)
        _, holds = as_known(services.settings, standing)
        assert holds(held.estimate / 2, limits) is None  # as large as what is left of the day
        tokens = msgspec.structs.replace(standing, tokens={"gpt-4o-mini": 7})
        settings, _ = as_known(services.settings, tokens)
        assert settings.batches.enqueued_tokens == {"gpt-4o-mini": 7}


async def test_the_settings_that_count_are_told_without_secrets(tmp_path: Path):
    given = {"base_url": "https://anna:secret@provider/v1"}
    async with listening_house(tmp_path, openai=given) as services:
        services.provenance = Provenance(file="mine.toml", key_from="OPENAI_API_KEY")

        told = await say(services, "GET", "config", kind=ConfigShow)

        values = {setting.name: setting.value for setting in told.settings}
        assert (told.file, told.key_from) == ("mine.toml", "OPENAI_API_KEY")
        assert values["openai.base_url"] == "https://provider/v1"
        assert values["batches.max_open"] == 100
        assert values["folders.root"] == str(tmp_path)


async def test_the_log_is_told_in_pages(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        services.folders.log.parent.mkdir(exist_ok=True)
        services.folders.log.write_text('{"event": "a"}\n{"event": "b"}\n')
        await open_batches(services, "a.jsonl")

        first = await say(services, "GET", "logs", kind=Logged, limit=1)
        second = await say(services, "GET", "logs", kind=Logged, limit=1, after=first.after)

        assert [bytes(raw) for raw in (*first.lines, *second.lines)] == [
            b'{"event": "a"}',
            b'{"event": "b"}',
        ]
        assert await refused(services, "GET", "logs", after="nonsense") == "invalid"
        assert await refused(services, "GET", "logs", level="loud") == "invalid"
        assert await refused(services, "GET", "logs", word="nobody.jsonl") == "not-found"
        known = await say(services, "GET", "logs", kind=Logged, word="a.jsonl")
        assert known.lines == ()  # the ledger knows it, and the log has nothing of it


async def test_a_reload_is_asked_for_and_answered(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        assert await refused(services, "POST", "reload") == "unavailable"
        wanted = msgspec.structs.replace(
            services.settings,
            jobs=msgspec.structs.replace(services.settings.jobs, keep_days=5.0),
            openai=msgspec.structs.replace(services.settings.openai, purpose="x"),
        )
        services.reload = Reloading(services, Manager(), lambda: wanted, lambda _: None).once

        said = await say(services, "POST", "reload", kind=Reloaded)

        assert (said.applied, said.waiting, said.problem) == (
            ("jobs.keep_days",),
            ("openai.purpose",),
            None,
        )
        assert services.settings.jobs.keep_days == 5.0


async def test_a_broken_configuration_is_an_answer_too_and_changes_nothing(tmp_path: Path):
    async with listening_house(tmp_path) as services:

        def broken():
            raise ConfigError("mine.toml, line 3: no")

        services.reload = Reloading(services, Manager(), broken, lambda _: None).once
        before = services.settings

        said = await say(services, "POST", "reload", kind=Reloaded)

        assert (said.applied, said.problem) == ((), "mine.toml, line 3: no")
        assert services.settings is before
