"""What is not well: shown once it has lasted, the worst first, each with the command that mends it."""

from __future__ import annotations

import pytest

from batchd.control.health import PAUSED_AFTER, WATCHED, Severity, Ward, began, health
from batchd.control.presence import Presence
from batchd.core.model import Pause
from batchd.core.reasons import ReasonCode, because
from tests.control.asking import RUNNING, look_at, open_batches
from tests.houses import drop, open_services, requests, turn

NOW = 1_000_000.0


def ward(*groups, **other) -> Ward:
    """A well house, but for what is said."""
    well = {"daemon": RUNNING, "inbox_trouble": None, "pauses": {}, "last_word": NOW - 5}
    return Ward(groups=groups, root="/srv/batchd", **(well | other))


def codes(ward: Ward, *, since=lambda *_: None) -> list[str]:
    return [item.code for item in health(ward, since=since, now=NOW)]


def test_a_well_house_has_nothing_to_show():
    ordinary = [("0tqe86", because(ReasonCode.WAITING_FOR_ROOM))]

    assert codes(ward(ordinary)) == []


@pytest.mark.parametrize("code", WATCHED)
def test_what_is_watched_is_hidden_until_it_has_lasted(code):
    group = [("a b", because(code)), ("c", because(code))]
    after = WATCHED[code].visible_after

    if after:
        assert codes(ward(group), since=lambda *_: NOW - after + 1) == []
    (item,) = health(ward(group), since=lambda *_: NOW - after, now=NOW)
    assert (item.code, item.count, item.since) == (code, 2, NOW - after)
    assert item.severity in Severity
    assert "{" not in item.fix
    assert "'a b'" in item.fix or "{name}" not in WATCHED[code].fix


def test_what_nobody_can_date_is_shown_at_once():
    assert codes(ward([("x", because(ReasonCode.FILE_UNSEEN))])) == ["file-unseen"]


def test_the_worst_comes_first():
    low, high = because(ReasonCode.DOUBT), because(ReasonCode.DENIED)

    assert codes(ward([("a", low)], [("b", high)])) == ["denied", "doubt"]


def test_a_house_without_a_daemon_an_inbox_or_a_watcher_is_told():
    assert codes(ward(daemon=Presence(is_running=False))) == ["not-running"]
    assert codes(ward(inbox_trouble="No such file or directory")) == ["not-looked"]
    scanning = Presence(is_running=True, watcher="scan only: nfs4 does not tell of every new file")
    assert codes(ward(daemon=scanning)) == ["scan-only"]


def test_a_pause_is_told_when_it_may_be_forgotten():
    def paused(at: float) -> list[str]:
        return codes(ward(pauses={Pause.INTAKE: ("ann", at)}))

    assert paused(NOW - PAUSED_AFTER + 1) == []
    assert paused(NOW - PAUSED_AFTER) == ["paused"]


def test_a_reason_began_where_its_last_run_of_facts_did():
    def fact(at, reason, shard="0tqe86-1"):
        return {"at": at, "shard": shard, "facts": {"reason": reason} if reason else {}}

    history = [fact(1, "denied"), fact(2, None), fact(3, "denied"), fact(4, "x", "0tqe86-2"),
               fact(5, "denied")]  # fmt: skip

    assert began(history, because(ReasonCode.DENIED, shard="0tqe86-1")) == 3
    assert began(history[:1], because(ReasonCode.DENIED, shard="0tqe86-1")) == 1
    assert began(history, because(ReasonCode.DOUBT, shard="0tqe86-1")) is None
    assert began([], because(ReasonCode.DENIED)) is None


async def test_a_key_that_is_refused_is_told_after_a_while_with_since_when(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.deny()
        drop(tmp_path, "a.jsonl", requests(1))
        while "denied" not in (seen := now_and_then(services, tmp_path)):
            began_at = services.clock.now()
            await turn(services)
            services.clock.advance(1.0)
            assert "denied" not in seen
        (item,) = look_at(tmp_path, now=services.clock.now()).health

    assert item.severity == Severity.HIGH
    assert item.fix == "batchd config check"
    assert item.since is not None
    assert began_at - item.since >= WATCHED[ReasonCode.DENIED].visible_after - 2


def now_and_then(services, root) -> list[str]:
    return [item.code for item in look_at(root, now=services.clock.now()).health]


async def test_a_job_over_its_budget_is_told_with_the_word_that_releases_it(tmp_path):
    async with open_services(tmp_path, budget={"per_job": 1e-9}) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        while not await services.ledger.jobs_in("held"):
            services.clock.advance(1.0)
            await turn(services)
        (job,) = await services.ledger.jobs_in("held")
        (item,) = look_at(tmp_path, now=services.clock.now()).health

    assert (item.code, item.fix) == ("over-budget", f"batchd release {job.id}")
    assert item.since is not None


async def test_open_batches_are_no_illness(tmp_path):
    async with open_services(tmp_path) as services:
        await open_batches(services, "a.jsonl")

        assert now_and_then(services, tmp_path) == []
