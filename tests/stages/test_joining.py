"""Identical files: paid once, delivered twice, whoever comes when."""

from __future__ import annotations

from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    requests,
    turn,
)


async def test_an_identical_file_has_the_same_answers_and_pays_nothing(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(4))
        drop(tmp_path, "two.jsonl", requests(4))
        await live(services, deliveries=2)

        one, two = delivered(tmp_path)["one"], delivered(tmp_path)["two"]
        assert read_lines(one / "results.jsonl") == read_lines(two / "results.jsonl")
        assert (two / "input" / "two.jsonl").exists()
        assert set(services.remote.executions.values()) == {1}
        bills = sorted((read_receipt(one), read_receipt(two)), key=lambda b: b["joined"] or "")
        assert bills[0]["joined"] is None
        assert bills[0]["cost"]["amount"] > 0
        assert bills[1]["joined"] == bills[0]["job"]
        assert bills[1]["cost"]["amount"] == 0
        assert bills[1]["usage"]["input_tokens"] == 0
        assert bills[1]["requests"] == bills[0]["requests"]


async def test_one_that_comes_while_the_first_is_at_the_provider_joins_it(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(4))
        for _ in range(3):
            await turn(services)
            services.clock.advance(1.0)
        assert len(services.remote.opened) == 1
        drop(tmp_path, "two.jsonl", requests(4))
        await live(services, deliveries=2)
        assert len(services.remote.opened) == 1


async def test_once_the_first_is_delivered_the_same_file_is_a_new_job(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(2))
        await live(services, deliveries=1)
        drop(tmp_path, "two.jsonl", requests(2))
        await live(services, deliveries=2)
        assert len(services.remote.opened) == 2
        assert read_receipt(delivered(tmp_path)["two"])["joined"] is None


async def test_the_answers_of_the_first_stay_until_those_that_joined_have_them(tmp_path):
    """However short `keep_days` is, and however late the second folder is built."""
    async with open_services(tmp_path, jobs={"keep_days": 0.0}) as services:
        for name in ("one.jsonl", "two.jsonl", "three.jsonl"):
            drop(tmp_path, name, requests(3))
        await live(services, deliveries=3)
        assert all((folder / "results.jsonl").exists() for folder in delivered(tmp_path).values())
        for _ in range(3):
            await turn(services)
        assert list((tmp_path / "var" / "work").iterdir()) == []


async def test_those_that_joined_a_file_of_which_nothing_came_plan_for_themselves(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-1": [400], "r-2": [400]}  # once each: the second buyer is luckier
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "one.jsonl", requests(2))
        drop(tmp_path, "two.jsonl", requests(2))
        await live(services, deliveries=2)
        assert len(remote.opened) == 2
        endings = sorted(path.suffix for path in (tmp_path / "outbox").iterdir())
        assert endings == ["", ".failed"]


async def test_identical_files_can_be_told_to_run(tmp_path):
    async with open_services(tmp_path, inbox={"identical": "run"}) as services:
        drop(tmp_path, "one.jsonl", requests(2))
        drop(tmp_path, "two.jsonl", requests(2))
        await live(services, deliveries=2)
        assert len(services.remote.opened) == 2


async def test_files_of_different_bytes_do_not_join(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(2))
        drop(tmp_path, "two.jsonl", requests(2, text="another question"))
        await live(services, deliveries=2)
        assert len(services.remote.opened) == 2
