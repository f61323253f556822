"""The way to the provider and the provider itself, going wrong in every manner; what users see."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchd.core.errors import RemoteUnavailable
from batchd.core.model import BatchError, JobState, ShardState
from batchd.core.reasons import Reason
from batchd.core.subjects import Shard
from batchd.remote.circuit import Circuit
from batchd.runtime.services import Services
from batchd.stages import collect, deliver, poll
from tests.acceptance.outcomes import check_receipt, check_results, finished, shards_of
from tests.acceptance.processes import Processes, processes_in
from tests.control.asking import ask
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
from tests.remote.raw_server import answer, serving
from tests.remote.wire import HTML, client_of
from tests.stages.steps import ended, opened, step

LOST = RemoteUnavailable("the connection was lost", may_have_happened=True)
HOUR = 3600.0


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@asynccontextmanager
async def a_house(root: Path, **sections: object) -> AsyncIterator[Services]:
    """A house with the fake provider behind the circuit that the daemon has, too."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    async with open_services(root, remote=remote, clock=clock, **sections) as services:  # type: ignore[arg-type]
        services.remote = Circuit(remote, monotonic=clock.monotonic)
        yield services


def fake(services: Services) -> FakeRemote:
    """The provider behind the circuit."""
    return services.remote._remote  # type: ignore[attr-defined,no-any-return]


async def pass_time(services: Services, seconds: float, *, pace: float = 1.0) -> None:
    """Turn all stages for so long."""
    for _ in range(int(seconds / pace)):
        await turn(services)
        services.clock.advance(pace)  # type: ignore[attr-defined]  # the fake one


async def why(services: Services) -> Reason:
    """`batchd why JOB`, for the one job there is."""
    (job,) = await services.ledger.jobs_in(JobState.ACTIVE)
    return ask(
        services.folders.root, job.id, now=services.clock.now(), given=services.settings
    ).reason


async def first_shard(services: Services) -> Shard | None:
    """The first shard that waits to be sent, if there is one yet."""
    return next(iter(await services.ledger.shards_in(ShardState.PLANNED)), None)


# Lost answers (F19, F21)


async def test_an_upload_whose_answer_is_lost_costs_a_second_upload_and_no_second_batch(tmp_path):
    """F19: the file is sent again; the first one lies unused at the provider and costs nothing."""
    async with a_house(tmp_path) as services:
        fake(services).lose_connection_after("upload", times=2)
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        assert len(fake(services).uploads) == 3
        assert len(fake(services).opened) == 1
        assert set(fake(services).executions.values()) == {1}


@pytest.mark.parametrize("restart", [False, True])
async def test_a_creation_whose_answer_is_lost_is_found_by_its_metadata(tmp_path, restart):
    """F21: exactly one batch, though the provider's list shows it only after a while."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.listing_lag_seconds = 15.0  # less than doubt_seconds
    remote.lose_connection_after("create_batch")
    drop_in, names = {"remote": remote, "clock": clock}, {"a"}
    async with open_services(tmp_path, **drop_in) as services:
        drop(tmp_path, "a.jsonl", requests(4))
        while not remote.opened:
            await turn(services)
            clock.advance(1.0)
        if not restart:
            await live(services, deliveries=1)
    if restart:
        async with open_services(tmp_path, **drop_in) as services:
            await live(services, deliveries=1)
    assert delivered(tmp_path).keys() == names
    assert len(remote.opened) == remote.calls["create_batch"] == 1


# No way there (F87)


@asynccontextmanager
async def no_way(kind: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The address of a provider that can't be reached."""
    if kind == "no such name":
        yield "http://provider.invalid/v1"
        return
    script = {
        "a proxy that wants a password": answer(status="407 Proxy Authentication Required"),
        "no TLS": answer(),
        "a login page": HTML,
        "a connection that ends": answer()[:0],
    }
    async with serving(script[kind]) as server:
        if kind == "a proxy that wants a password":
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("HTTPS_PROXY", server.url.removesuffix("/v1"))
            yield "https://provider.invalid/v1"
        elif kind == "no TLS":
            yield server.url.replace("http://", "https://")
        else:
            yield server.url


@pytest.mark.parametrize(
    "kind",
    [
        "no such name",
        "a proxy that wants a password",
        "no TLS",
        "a login page",
        "a connection that ends",
    ],
)
async def test_where_the_provider_cannot_be_reached_files_are_taken_and_wait(
    tmp_path, kind, monkeypatch
):
    """F87: DNS gone, proxy 407, TLS error, captive portal: transient, with the reason shown."""
    clock = FakeClock()
    async with (
        no_way(kind, monkeypatch) as url,
        client_of(url, timeout_seconds=1.0) as client,
        open_services(tmp_path, remote=client, clock=clock) as services,  # type: ignore[arg-type]
    ):
        drop(tmp_path, "a.jsonl", requests(3))
        while (shard := await first_shard(services)) is None or not shard.reason:
            await turn(services)
            clock.advance(0.5)
        assert shard.state is ShardState.PLANNED
        assert (await why(services)).code in ("provider-unavailable", "denied")
        assert delivered(tmp_path) == {}
    remote = FakeRemote(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await live(services, deliveries=1)
    assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"
    assert len(remote.opened) == 1


# The key, and money (F88)


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (403, "unsupported")])
async def test_a_key_that_is_refused_for_a_while_rejects_nothing(tmp_path, status, code):
    """F88: files are still taken and checked, the reason is shown, and it goes on by itself."""
    async with a_house(tmp_path) as services:
        fake(services).deny(status=status, code=code)
        drop(tmp_path, "a.jsonl", requests(3))
        await pass_time(services, 120)
        assert (await why(services)).code == "denied"
        assert services.rest.reason
        drop(tmp_path, "late.jsonl", requests(3, prefix="late"))
        drop(tmp_path, "bad.jsonl", [b"{"])
        await pass_time(services, 70)  # a last line that looks cut has its minute
        assert set(delivered(tmp_path)) == {"bad"}, "its own fault, and no answer is needed for it"
        assert len(await services.ledger.jobs_in(JobState.ACTIVE)) == 2

        fake(services).allow()
        await pass_time(services, 130)
        assert set(delivered(tmp_path)) == {"a", "late", "bad"}
        assert set(fake(services).executions.values()) == {1}


async def test_a_key_that_is_refused_once_costs_seconds(tmp_path):
    """F88: the first rest is short, and only a key that stays refused is left alone for longer."""
    async with a_house(tmp_path) as services:
        fake(services).deny()
        drop(tmp_path, "a.jsonl", requests(3))
        while not services.rest.is_on:
            await turn(services)
            services.clock.advance(1.0)
        fake(services).allow()
        await pass_time(services, 8)
        assert len(fake(services).opened) == 1


async def test_a_key_that_stays_refused_is_not_tried_all_the_time(tmp_path):
    """F88: an hour of it is some sixty calls, with however many files."""
    async with a_house(tmp_path) as services:
        fake(services).deny()
        for number in range(10):
            drop(tmp_path, f"f{number}.jsonl", requests(2, prefix=f"f{number}"))
        await pass_time(services, HOUR, pace=5.0)
        assert sum(fake(services).calls.values()) < 300
        assert len(await services.ledger.jobs_in(JobState.ACTIVE)) == 10


async def test_a_rotated_key_is_taken_at_the_next_start(tmp_path):
    """F88: the old key is revoked with a batch open; with the new one the same batch goes on."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await opened(services, tmp_path)
        remote.deny()
        await pass_time(services, 30)
        assert services.rest.reason
    remote.allow()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await live(services, deliveries=1)
    assert len(remote.opened) == 1


# Busy, broken, down (F89)


@pytest.mark.parametrize("method", ["upload", "create_batch"])
@pytest.mark.parametrize("seconds", [7.0, 400.0])
async def test_what_the_provider_asks_for_is_waited(tmp_path, method, seconds):
    """F89: 429 with Retry-After, short and far beyond two minutes; not a second sooner."""
    busy = RemoteUnavailable(
        "slow down", may_have_happened=False, status=429, retry_after_seconds=seconds
    )
    async with a_house(tmp_path) as services:
        fake(services).fail(method, busy)
        drop(tmp_path, "a.jsonl", requests(3))
        while fake(services).calls[method] == 0:
            await turn(services)
            services.clock.advance(0.5)
        await pass_time(services, seconds - 2.0, pace=0.5)
        assert fake(services).calls[method] == 1
        await pass_time(services, 10.0)
        assert fake(services).calls[method] == 2
        await live(services, deliveries=1)
        assert len(fake(services).opened) == 1


async def test_a_used_up_quota_lets_remote_work_rest_and_rejects_nothing(tmp_path):
    """F89: `insufficient_quota` is the operator's to mend; then it goes on by itself."""
    async with a_house(tmp_path) as services:
        fake(services).deny(status=429, code="insufficient_quota")
        drop(tmp_path, "a.jsonl", requests(3))
        await pass_time(services, 300)
        assert (await why(services)).code == "denied"
        fake(services).allow()
        await pass_time(services, 120)
        assert read_receipt(delivered(tmp_path)["a"])["requests"]["succeeded"] == 3


async def test_a_provider_that_is_down_for_an_hour_is_not_hammered(tmp_path):
    """F89: some forty calls in an hour, with twenty files and four open batches; then all go on."""
    down = RemoteUnavailable("no connection", may_have_happened=False)
    methods = ("upload", "create_batch", "list_batches", "retrieve_batch", "download")
    async with a_house(tmp_path) as services:
        for number in range(4):
            await opened(services, tmp_path, f"open{number}")
        for method in methods:
            fake(services).fail(method, down, times=10_000)
        for number in range(20):
            drop(tmp_path, f"f{number}.jsonl", requests(2, prefix=f"f{number}"))
        fake(services).calls.clear()
        await pass_time(services, HOUR, pace=5.0)
        assert sum(fake(services).calls.values()) < 60
        assert delivered(tmp_path) == {}

        fake(services)._troubles.clear()
        await live(services, deliveries=24)
        assert set(fake(services).executions.values()) == {1}


async def test_a_call_that_breaks_again_and_again_is_asked_about_each_time(tmp_path):
    """F89: 5xx that acted, resets that did not: never a second batch, never none."""
    async with a_house(tmp_path) as services:
        fake(services).lose_connection_before("create_batch", times=3)
        fake(services).lose_connection_after("download", times=3)
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        assert len(fake(services).opened) == 1
        assert set(fake(services).executions.values()) == {1}


@pytest.mark.processes
def test_a_bad_line_to_the_provider_costs_time_and_nothing_else(processes, tmp_path):
    """F87, F89: resets, 5xx after acting, HTML with 200, a cut and a slow download, in one life."""
    content, create = "GET /v1/files/{id}/content", "POST /v1/batches"
    sandbox = processes.sandbox(
        http=[
            {"route": "POST /v1/files", "disconnect": "before", "times": 1},
            {"route": "POST /v1/files", "status": 200, "html": True, "times": 1},
            {"route": create, "status": 503, "before": False, "times": 1},
            {"route": "GET /v1/batches", "status": 200, "html": True, "times": 1},
            {"route": content, "status": 200, "html": True, "times": 1},
        ],
        cut_after_bytes=2000,
        cut_times=1,
        bytes_per_second=30_000,
    )
    processes.daemon(tmp_path / "root", sandbox)
    drop(tmp_path / "root", "a.jsonl", requests(60))
    folder = finished(processes, tmp_path / "root", "a")["a"]
    check_results(folder, requests(60))
    check_receipt(folder, total=60)
    assert len(shards_of(sandbox)) == sandbox.calls(create) == 1


# What becomes of a batch (F90)


async def test_what_expired_travels_again_and_is_told_when_it_never_ends(tmp_path):
    """F90: half of it each time; what is left after all attempts lies ready to be dropped again."""
    async with a_house(tmp_path, retries={"max_attempts": 2}) as services:
        fake(services).expire(fraction=0.5, times=2)
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        assert check_receipt(folder, total=8, failed=2)["requests"]["expired"] == 2
        assert read_lines(folder / "retry.jsonl") == requests(8)[6:]
        assert set(fake(services).executions.values()) == {1}


async def test_a_batch_that_somebody_cancels_is_delivered_with_what_it_had(tmp_path):
    """F90: cancelled on the provider's page: what was answered is kept, the rest is told."""
    async with a_house(tmp_path) as services:
        fake(services).cancel_after(5.0, fraction=0.5)
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        assert check_receipt(folder, total=8, failed=4)["requests"]["cancelled"] == 4
        assert read_lines(folder / "retry.jsonl") == requests(8)[4:]
        assert len(fake(services).opened) == 1, "whoever cancelled it did not want it sent again"


async def test_a_line_that_the_provider_refuses_fails_alone(tmp_path):
    """F90: validation fails and names a line: that one fails, the others travel again."""
    async with a_house(tmp_path) as services:
        fake(services).fail_batches_with(BatchError("invalid_request", "no good", None, 2))
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        check_receipt(folder, total=4, failed=1)
        assert read_lines(folder / "retry.jsonl") == [requests(4)[1]]


async def test_a_batch_that_vanished_is_held_until_it_is_there_again(tmp_path):
    """F90: 404 for one batch says nothing: it is asked again, and never bought again."""
    async with a_house(tmp_path) as services:
        shard = await opened(services, tmp_path)
        kept = dict(fake(services)._batches)
        fake(services).vanish(shard.batch or "")
        await pass_time(services, HOUR, pace=5.0)
        reason = await why(services)
        assert (reason.code, reason.standing) == ("batch-vanished", "held")
        assert (shard.batch or "") in reason.sentence
        assert len(fake(services).opened) == 1

        fake(services)._batches.update(kept)
        await live(services, deliveries=1)
        assert len(fake(services).opened) == 1


# What comes back (F91)


async def test_strange_result_files_are_told_in_the_receipt(tmp_path):
    """F91: unknown, missing and repeated ids and a line that is no JSON; the counts add up."""
    async with a_house(tmp_path, retries={"max_attempts": 1}) as services:
        shard = await ended(services, tmp_path, lines=requests(5))
        kept = fake(services).files[shard.output_file or ""]
        lines = kept.content.splitlines()
        by_id = {json.loads(line)["custom_id"]: line for line in lines}
        stranger = by_id["r-1"].replace(b'"r-1"', b'"nobody"')
        strange = [by_id["r-1"], by_id["r-2"], by_id["r-2"], stranger, b"{no json", by_id["r-4"]]
        kept.content = b"\n".join([*strange, by_id["r-5"]]) + b"\n"
        while not delivered(tmp_path):
            await step(services, poll, collect, deliver)
            services.clock.advance(1.0)
        folder = delivered(tmp_path)["a"]
        receipt = check_receipt(folder, total=5, failed=1)
        assert [line["ok"] for line in read_lines(folder / "results.jsonl")] == [
            *(True, True, False, True, True)
        ]
        oddities = receipt["oddities"]
        assert set(oddities.values()) == {1}, oddities
        assert len(oddities) == 4, oddities
        raw = services.work.answers(shard.job, shard.id, "output")
        assert raw.read_bytes() == kept.content, "and the provider's own words are kept for a while"
        assert os.fspath(raw).startswith(str(tmp_path / "var" / "work"))


# Another program, the same batches (F95)


async def test_an_upgrade_with_fifty_open_batches_goes_on_with_the_same_ones(tmp_path):
    """F95: the next program finds them by their ids; none is made anew."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.batch_seconds = 10_000.0
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        for number in range(50):
            drop(tmp_path, f"f{number}.jsonl", requests(2, prefix=f"f{number}"))
        while len(remote.opened) < 50:
            await turn(services)
            clock.advance(1.0)
    ids = {batch for _, batch in remote.opened}
    remote.batch_seconds = 1.0
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await live(services, deliveries=50)
    receipts = [read_receipt(folder) for folder in delivered(tmp_path).values()]
    assert {batch["id"] for receipt in receipts for batch in receipt["batches"]} == ids
    assert len(remote.opened) == 50
