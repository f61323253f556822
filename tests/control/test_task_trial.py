"""A task tried by the daemon: answered, counted before it is shown, and within what may be spent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchd.control.client import Refused, ask_lines
from batchd.control.task_shapes import Tried
from batchd.core.events import Paused
from batchd.core.model import Pause
from batchd.remote.direct import Direct
from batchd.runtime.threads import in_thread
from batchd.sandbox.options import Options
from batchd.sandbox.serving import running_sandbox
from tests.control.raw import raw
from tests.control.speaking import listening_house, say, until
from tests.houses import write_task
from tests.remote.raw_server import answer, serving

TASK = 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n'
TABLE = b"text\none\ntwo\nthree\nfour\n"
SAID = {
    "model": "gpt-4o-mini",
    "choices": [{"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0},
}


def direct_to(services, address: str) -> None:
    settings = services.settings.openai
    services.direct = lambda: Direct(settings, base_url=address, api_key="sk-test-0123456789")


@asynccontextmanager
async def asking_house(root: Path, **options: Any) -> AsyncIterator[Any]:
    """A house with a task, that asks the sandbox."""
    async with running_sandbox(Options()) as sandbox, listening_house(root, **options) as services:
        write_task(root, "mood", TASK)
        direct_to(services, sandbox.base_url)
        yield services


async def tried(services, *, name: str = "mood", rows: int = 2, sent: bytes = TABLE) -> list[Tried]:
    def lines() -> list[Tried]:
        asked = ask_lines(services.folders, "POST", "tasks", name, "try", sent=sent, file="a.csv",
                          rows=rows, kind=Tried, seconds=10)  # fmt: skip
        return list(asked)

    return await in_thread(lines)


async def spent(services) -> dict[str, Any]:
    return dict((await say(services, "GET", "spend", by="task"))["total"])


async def test_rows_come_one_by_one_and_what_they_cost_is_spent_today(tmp_path: Path):
    async with asking_house(tmp_path) as services:
        *rows, last = await tried(services)

        assert [line.row.row for line in rows] == [1, 2]
        assert all(line.row.ok for line in rows)
        assert last.sum.requests == 2
        assert last.sum.cost.amount == pytest.approx(2 * last.sum.cost.as_batch)
        by_task = await say(services, "GET", "spend", by="task")
        assert [line["key"] for line in by_task["lines"]] == ["mood"]
        total = by_task["total"]
        assert (total["requests"], total["saving"]) == (2, 0.0)
        assert total["input_tokens"] == last.sum.input_tokens
        assert total["cost"] == pytest.approx(last.sum.cost.amount, abs=1e-8)
        assert by_task["budget"]["spent_today"] == total["cost"] > 0


async def test_it_is_counted_although_the_house_ends_right_after(tmp_path: Path):
    async with asking_house(tmp_path) as services:
        took = (await tried(services))[-1].sum
    async with listening_house(tmp_path) as services:
        assert (await spent(services))["output_tokens"] == took.output_tokens > 0


async def test_whoever_goes_away_has_paid_for_what_was_sent_and_for_no_more(tmp_path: Path):
    """The row that is asked for is heard out and counted; the next one is not asked."""
    heard = anyio.Event()
    async with listening_house(tmp_path) as services:
        write_task(tmp_path, "mood", TASK)

        class Slow:
            calls = 0

            async def answer(self, line: bytes) -> bytes:
                self.calls += 1
                heard.set()
                await goes_away.wait()
                response = {"status_code": 200, "request_id": "", "body": SAID}
                return json.dumps({"custom_id": "1", "response": response, "error": None}).encode()

            async def close(self) -> None:
                closed.set()

        slow, goes_away, closed = Slow(), anyio.Event(), anyio.Event()
        services.direct = lambda: slow
        head = f"POST /v1/tasks/mood/try?file=a.csv HTTP/1.1\r\nHost: x\r\nContent-Length: {len(TABLE)}"

        with anyio.fail_after(10):
            async with await anyio.connect_unix(services.folders.socket) as person:
                await person.send(f"{head}\r\n\r\n".encode() + TABLE)
                await heard.wait()
            await anyio.sleep(0.05)  # the kernel tells the daemon that the person is gone
            assert not closed.is_set()
            goes_away.set()
            await closed.wait()

        assert slow.calls == 1
        assert (await spent(services))["requests"] == 1


@pytest.mark.parametrize(
    ("budget", "says"),
    [({"per_day": 1e-9}, "(budget.per_day)"), ({"per_job": 1e-9}, "(budget.per_job)")],
)
async def test_what_does_not_fit_the_budget_is_not_asked(tmp_path: Path, budget, says):
    async with asking_house(tmp_path, budget=budget) as services:
        (no,) = await tried(services)

        assert no.refusal.code == "impossible"
        assert says in no.refusal.sentence
        assert (await spent(services))["requests"] == 0


async def test_what_was_tried_leaves_less_of_the_budget(tmp_path: Path):
    async with asking_house(tmp_path, budget={"per_day": 0.02}) as services:
        async with serving(answer(json.dumps(SAID)), answer(json.dumps(SAID))) as server:
            direct_to(services, server.url)
            first = await tried(services, rows=1)  # a million tokens at 0.15 USD
            second = await tried(services, rows=1)

        assert first[-1].sum.cost.amount == pytest.approx(0.15)
        assert "0.15 of 0.0200 are spent" in second[0].refusal.sentence
        assert len(server.heads) == 1


async def test_a_budget_and_a_model_without_a_price_do_not_go_together(tmp_path: Path):
    async with asking_house(tmp_path, budget={"per_day": 1.0}) as services:
        write_task(tmp_path, "odd", TASK.replace("gpt-4o-mini", "nobodys-model"))

        (no,) = await tried(services, name="odd")

        assert "the price of its model is not known" in no.refusal.sentence


async def test_while_submission_rests_nothing_is_asked(tmp_path: Path):
    async with asking_house(tmp_path) as services:
        paused = Paused(what=Pause.SUBMISSION, by="anna")
        await services.ledger.record(paused, at=services.clock.now())

        (no,) = await tried(services)

        assert no.refusal.sentence == "submission is paused, by anna; batchd resume goes on"


async def test_a_key_that_is_refused_and_a_provider_that_is_away_are_told_apart(tmp_path: Path):
    body = json.dumps({"error": {"message": "no such key", "code": "invalid_api_key"}})
    async with asking_house(tmp_path) as services:
        async with serving(answer(body, status="401 No")) as server:
            direct_to(services, server.url)
            denied = await tried(services)
        away = await tried(services)

        assert [denied[-1].refusal.code, away[-1].refusal.code] == ["denied", "unavailable"]
        assert (await spent(services))["requests"] == 0


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"name": "nothing"}, "not-found"),
        ({"name": "broken"}, "unusable"),
        ({"sent": b"title\nx\n"}, "unusable"),
        ({"sent": b""}, "unusable"),
        ({"rows": 0}, "invalid"),
        ({"rows": 101}, "invalid"),
    ],
)
async def test_what_cannot_be_tried_is_said_before_anything_is_asked(tmp_path: Path, asked, code):
    async with asking_house(tmp_path) as services:
        write_task(tmp_path, "broken", "model =\n")

        with pytest.raises(Refused) as no:
            await tried(services, **asked)

        assert no.value.code == code


async def test_one_trial_at_a_time(tmp_path: Path):
    """Two at once would each find room in the budget for itself."""
    async with asking_house(tmp_path) as services, anyio.create_task_group() as tasks:
        begun, may_end = anyio.Event(), anyio.Event()
        make = services.direct

        class Waiting:
            async def answer(self, line: bytes) -> bytes:
                begun.set()
                await may_end.wait()
                return await made.answer(line)

            async def close(self) -> None:
                await made.close()

        made, services.direct = make(), Waiting
        first: list[Tried] = []

        async def one() -> None:
            first.extend(await tried(services, rows=1))

        tasks.start_soon(one)
        await begun.wait()
        (no,) = await tried(services)
        may_end.set()
        await until(lambda: first)

        assert no.refusal.code == "unavailable"
        assert first[0].row.ok


async def test_before_the_house_stands_nothing_can_be_tried(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        write_task(tmp_path, "mood", TASK)
        head, _ = await raw(
            services, b"POST /v1/tasks/mood/try?file=a.csv HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n",
        )  # fmt: skip

        assert b"503" in head
