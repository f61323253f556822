"""A model that answers no batch request: told once, and not bought again and again."""

from __future__ import annotations

from typing import Any

from tests.houses import drop, live, open_services, read_lines, read_receipt, request, requests

ONE_AT_A_TIME = {"max_requests": 2, "max_open": 1}


def no_model(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    message = "The model 'x' does not exist or you do not have access to it."
    return 404, {"error": {"code": "model_not_found", "message": message}}


async def test_after_one_shard_without_a_model_no_more_of_the_job_are_sent(tmp_path):
    async with open_services(tmp_path, batches=ONE_AT_A_TIME) as services:
        services.remote.answers = no_model
        drop(tmp_path, "a.jsonl", requests(20))
        await live(services, deliveries=1)
        assert len(services.remote.opened) == 1
        assert len(services.remote.uploads) == 1
        (folder,) = (tmp_path / "outbox").iterdir()
        lines = read_lines(folder / "results.jsonl")
        assert len(lines) == 20
        assert {line["error"]["code"] for line in lines} == {"model_not_found"}
        assert sum("not sent" in line["error"]["message"] for line in lines) == 18
        bill = read_receipt(folder)
        assert bill["requests"]["succeeded"] == 0
        assert bill["requests"]["total"] == 20


async def test_what_is_open_of_it_is_called_off(tmp_path):
    async with open_services(tmp_path, batches={"max_requests": 2, "max_open": 3}) as services:
        services.remote.answers = no_model
        drop(tmp_path, "a.jsonl", requests(20))
        await live(services, deliveries=1)
        assert len(services.remote.opened) <= 4


async def test_another_model_of_the_same_job_goes_on(tmp_path):
    async with open_services(tmp_path, batches=ONE_AT_A_TIME) as services:
        usual = services.remote.answers
        services.remote.answers = lambda asked: (
            no_model(asked) if asked["body"]["model"] == "gone" else usual(asked)
        )
        lines = [request(f"r-{n}", model="gone" if n % 2 else "there") for n in range(20)]
        drop(tmp_path, "a.jsonl", lines)
        await live(services, deliveries=1)
        assert len(services.remote.opened) == 1 + 5
        (folder,) = (tmp_path / "outbox").iterdir()
        assert [line["ok"] for line in read_lines(folder / "results.jsonl")] == [True, False] * 10
        assert read_receipt(folder)["outcome"] == "partial"
