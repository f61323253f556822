"""The composition root: a house is opened, and starting again is nothing special."""

from __future__ import annotations

import pytest

from batchd.core.errors import ConfigError
from batchd.core.events import ShardWaits
from batchd.core.model import ShardState
from batchd.daemon import patience_of
from batchd.settings import Inbox
from batchd.stages import STAGES
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, requests
from tests.stages.steps import opened, planned


async def test_a_house_has_a_crew_and_a_bell_for_each_stage(tmp_path):
    async with open_services(tmp_path) as services:
        names = {stage.NAME for stage in STAGES}
        assert set(services.crews) == set(services.bells) == names
        assert {name: crew.limit for name, crew in services.crews.items()} == {
            stage.NAME: stage.LIMIT for stage in STAGES
        }


async def test_closing_it_closes_the_provider_and_the_ledger(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        first = services.ledger.root
    assert remote.closed
    async with open_services(tmp_path) as services:
        assert services.ledger.root == first, "and it is the same root again"


async def test_an_empty_ledger_beside_open_jobs_is_amnesia(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
    for path in (tmp_path / "var").glob("batchd.db*"):
        path.unlink()
    with pytest.raises(ConfigError, match="open jobs"):
        await open_services(tmp_path).__aenter__()


@pytest.mark.parametrize("years", [-10, 10])
async def test_a_clock_that_is_years_off_after_a_restart_changes_nothing(tmp_path, years):
    clock = FakeClock()
    remote = FakeRemote(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await opened(services, tmp_path)
    other = FakeClock(clock.now() + years * 365 * 86_400)
    remote._clock = other
    async with open_services(tmp_path, remote=remote, clock=other) as services:
        if years < 0:
            remote.batch_seconds = -1e9
        await live(services, deliveries=1)
        assert delivered(tmp_path).keys() == {"a"}
        assert len(remote.opened) == 1
        assert other.now() - (clock.now() + years * 365 * 86_400) < 600


async def test_a_time_far_away_is_brought_within_the_longest_wait(tmp_path):
    clock = FakeClock()
    async with open_services(tmp_path, clock=clock) as services:
        shard = await opened(services, tmp_path)
        far = ShardWaits(shard=shard.id, reason="x", text="x", due_at=clock.now() + 1e9)
        await services.ledger.record(far, at=clock.now())
    async with open_services(tmp_path, clock=clock) as services:
        due = await services.ledger.next_due(ShardState.OPEN)
        assert due <= clock.now() + services.settings.batches.poll_max_seconds


async def test_two_roots_on_one_account_do_not_touch_each_other(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    for name in ("one", "two"):
        root = tmp_path / name
        async with open_services(root, remote=remote, clock=clock) as services:
            remote.lose_connection_after("create_batch")
            drop(root, "a.jsonl", requests(2, prefix=name))
            await live(services, deliveries=1)
    assert len(remote.opened) == 2
    assert set(remote.executions.values()) == {1}


@pytest.mark.parametrize(
    ("settle", "is_far", "waited"),
    [(2.0, False, 2.0), (0.0, False, 0.0), (2.0, True, 10.0), (30.0, True, 30.0)],
)
def test_over_a_network_a_file_is_given_ten_seconds_at_least(settle, is_far, waited):
    """R32: a copy over a network stops and goes, and its attributes come late."""
    inbox = Inbox(settle_seconds=settle, cut_grace_seconds=7.0, settle_max_seconds=8.0)
    patience = patience_of(inbox, is_far=is_far)
    assert (patience.settle, patience.cut, patience.most) == (waited, 7.0, 8.0)
