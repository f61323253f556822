"""The circuit: an outage is not hammered, and its end is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.model import BatchOrder, BatchStatus
from batchd.remote.circuit import FAILURES, Circuit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote

LOST = RemoteUnavailable("the connection broke", may_have_happened=True)


def a_circuit() -> tuple[Circuit, FakeRemote, FakeClock]:
    clock = FakeClock()
    remote = FakeRemote(clock)
    return Circuit(remote, monotonic=clock.monotonic), remote, clock


async def fail(circuit: Circuit, remote: FakeRemote, *, times: int) -> None:
    remote.fail("list_batches", LOST, times=times)
    for _ in range(times):
        with pytest.raises(RemoteUnavailable):
            await circuit.list_batches()


async def test_a_few_failures_are_no_outage():
    circuit, remote, _ = a_circuit()
    await fail(circuit, remote, times=FAILURES - 1)
    await circuit.list_batches()
    assert not circuit.is_open


async def test_an_outage_is_not_hammered():
    circuit, remote, _ = a_circuit()
    await fail(circuit, remote, times=FAILURES)
    before = sum(remote.calls.values())
    for _ in range(50):
        with pytest.raises(RemoteUnavailable) as refused:
            await circuit.retrieve_batch("batch_1")
        assert not refused.value.may_have_happened
        assert refused.value.retry_after_seconds
    assert sum(remote.calls.values()) == before


async def test_the_end_of_an_outage_is_found_out_by_one_call(tmp_path: Path):
    circuit, remote, clock = a_circuit()
    await fail(circuit, remote, times=FAILURES)
    clock.advance(6.0)
    await circuit.list_batches()
    assert not circuit.is_open
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    assert await circuit.upload(tmp_path / "a.jsonl", name="a.jsonl")


async def test_a_long_outage_is_looked_at_more_and_more_rarely():
    circuit, remote, clock = a_circuit()
    await fail(circuit, remote, times=FAILURES)
    remote.fail("list_batches", LOST, times=10_000)
    before = remote.calls["list_batches"]
    for _ in range(3600):
        clock.advance(1.0)
        with pytest.raises(RemoteUnavailable):
            await circuit.list_batches()
    assert remote.calls["list_batches"] - before < 40


async def test_a_refusal_is_an_answer_and_a_busy_server_is_not_down():
    circuit, remote, _ = a_circuit()
    for error in (
        RemoteRefused("no", status=404),
        RemoteUnavailable("busy", may_have_happened=False, status=429),
    ):
        remote.fail("list_batches", error, times=FAILURES * 2)
        for _ in range(FAILURES * 2):
            with pytest.raises(type(error)):
                await circuit.list_batches()
        assert not circuit.is_open


async def test_every_call_goes_through_to_the_provider(tmp_path: Path):
    circuit, remote, _ = a_circuit()
    (tmp_path / "a.jsonl").write_text("{}\n")
    file_id = await circuit.upload(tmp_path / "a.jsonl", name="a.jsonl")
    order = BatchOrder(file_id, "/v1/chat/completions", "24h", {})
    batch = await circuit.create_batch(order)
    assert (await circuit.retrieve_batch(batch.id)).id == batch.id
    assert [seen.id for seen in (await circuit.list_batches()).batches] == [batch.id]
    assert (await circuit.cancel_batch(batch.id)).status is BatchStatus.CANCELLING
    assert [file.id for file in (await circuit.list_files()).files] == [file_id]
    assert await circuit.download(file_id, tmp_path / "out") == 3
    assert await circuit.delete_file(file_id)
    assert not await circuit.file_exists(file_id)
    await circuit.close()
    assert remote.closed
