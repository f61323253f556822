"""What every stage is given."""

from __future__ import annotations

import anyio

from tests.houses import open_services


async def test_a_thing_is_started_with_its_stages_crew_in_the_background(tmp_path):
    async with open_services(tmp_path) as services:
        go = anyio.Event()
        assert services.start("plan", "a", go.wait)
        assert not services.start("plan", "a", go.wait)
        assert services.start("submit", "a", go.wait), "another stage's things are its own"
        assert services.crews["plan"].is_busy("a")
        go.set()
        await services.crews["plan"].finish()
        await services.crews["submit"].finish()
