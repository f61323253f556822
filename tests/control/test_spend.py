"""What the daemon counts is what is shown, while it runs and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.control.ledger import reading
from batchd.control.spend import By, Spend, as_dict, spend_of
from batchd.core.budget import Limits
from tests.houses import delivered, drop, live, open_services, read_receipt, request, requests, turn

LIMITS = Limits(per_day=1.0)


def look(root: Path, by: By, *, now: float) -> Spend:
    with reading(root / "var" / "batchd.db") as reader:
        return spend_of(reader, by=by, since="", limits=LIMITS, now=now)


async def test_the_receipts_add_up_to_what_was_spent(tmp_path: Path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(3))
        drop(tmp_path, "two.jsonl", [*requests(2, prefix="s"), request("t", model="gpt-5")])
        await live(services, deliveries=2)
        found = look(tmp_path, By.MODEL, now=services.clock.now())
        bills = [read_receipt(folder) for folder in delivered(tmp_path).values()]
        assert found.total.cost == pytest.approx(sum(bill["cost"]["amount"] for bill in bills))
        assert found.total.saving == pytest.approx(sum(bill["cost"]["saving"] for bill in bills))
        assert found.total.saving == pytest.approx(found.total.cost)  # half of the price
        assert found.total.requests == 6
        assert found.spending.today == pytest.approx(found.total.cost)
        assert found.spending.under_way == 0.0
        assert as_dict(found, source="x")["budget"]["per_day"] == 1.0


async def test_what_is_under_way_is_told_before_it_is_spent(tmp_path: Path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 1e6
        drop(tmp_path, "one.jsonl", requests(3))
        for _ in range(10):
            services.clock.advance(1.0)
            await turn(services)
        found = look(tmp_path, By.DAY, now=services.clock.now())
        assert found.lines == []
        (shard,) = await services.ledger.shards_of(await services.ledger.last_job())
        assert found.spending.under_way == shard.estimate > 0
