"""The way of a file through all six stages, with the fake provider."""

from __future__ import annotations

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, read_lines, read_receipt, requests


async def test_a_dropped_file_becomes_one_folder_with_results_in_input_order(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "big.jsonl", requests(20))
        await live(services, deliveries=1)

        folder = delivered(tmp_path)["big"]
        results = read_lines(folder / "results.jsonl")
        assert [line["custom_id"] for line in results] == [f"r-{n}" for n in range(1, 21)]
        assert all(line["ok"] and line["output"] for line in results)
        assert (folder / "input" / "big.jsonl").exists()
        assert not (folder / "errors.jsonl").exists()
        assert read_receipt(folder)["requests"] == {
            "total": 20, "succeeded": 20, "failed": 0, "expired": 0, "cancelled": 0,
        }  # fmt: skip
        assert len(services.remote.opened) == 1
        assert services.remote.uploads[0][1] == (folder / "input" / "big.jsonl").read_bytes()


async def test_a_file_above_the_limit_travels_in_several_batches_and_comes_back_as_one(tmp_path):
    async with open_services(tmp_path, batches={"max_requests": 3}) as services:
        drop(tmp_path, "big.jsonl", requests(10))
        await live(services, deliveries=1)

        folder = delivered(tmp_path)["big"]
        results = read_lines(folder / "results.jsonl")
        assert [line["custom_id"] for line in results] == [f"r-{n}" for n in range(1, 11)]
        assert len(services.remote.opened) == 4
        assert [batch["requests"] for batch in read_receipt(folder)["batches"]] == [3, 3, 3, 1]


async def test_a_passing_failure_travels_again_and_a_lasting_one_is_told(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-2": [429, 200], "r-3": [400], "r-4": [500, 500, 500, 200]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        dropped = requests(5)
        drop(tmp_path, "a.jsonl", dropped)
        await live(services, deliveries=1)

        folder = delivered(tmp_path)["a"]
        results = {line["custom_id"]: line for line in read_lines(folder / "results.jsonl")}
        assert results["r-2"]["ok"]
        assert results["r-2"]["attempts"] == 2
        assert [e["custom_id"] for e in read_lines(folder / "errors.jsonl")] == ["r-3", "r-4"]
        assert results["r-4"]["attempts"] == 3
        assert read_lines(folder / "retry.jsonl") == [dropped[2], dropped[3]]
        bill = read_receipt(folder)
        assert bill["outcome"] == "partial"
        assert bill["rounds"] == 3
        assert bill["requests"]["failed"] == 2
        # No request that was answered is ever sent again.
        assert remote.executions["r-1"] == 1


async def test_what_expired_comes_back_and_what_was_answered_does_not_travel_again(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.expire(fraction=0.6, times=1)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(10))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 10
        assert [batch["requests"] for batch in bill["batches"]] == [10, 4]
        assert set(remote.executions.values()) == {1}


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{not json", "invalid_json_line", 3),
        (b'{"method": "POST"}', "missing_required_parameter", 3),
    ],
)
async def test_a_rejected_file_costs_nothing_and_says_why(tmp_path, line, code, number):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "bad.jsonl", [*requests(2), line, *requests(1, prefix="later")])
        await live(services, deliveries=1)

        (folder,) = (tmp_path / "outbox").glob("bad--*.rejected")
        first = (folder / "error.txt").read_text().splitlines()[0]
        assert first.startswith(f"line {number}: ")
        assert code in (folder / "error.json").read_text()
        assert (folder / "input" / "bad.jsonl").exists()
        assert services.remote.uploads == []


async def test_a_create_whose_answer_is_lost_is_asked_about_and_not_repeated(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.lose_connection_after("create_batch")
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        assert len(remote.opened) == 1


async def test_a_create_that_never_arrived_is_sent_again_after_asking(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.lose_connection_before("create_batch")
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        assert len(remote.opened) == 1
        assert remote.calls["list_batches"] >= 1
