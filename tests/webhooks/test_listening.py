"""The listener, over real HTTP: bounded, quick to end, and harmless where it can't listen."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from structlog.testing import capture_logs

from batchd.webhooks.listening import MOST_BYTES, listen, listener_on
from tests.control.speaking import until
from tests.houses import open_services
from tests.stages.steps import opened
from tests.webhooks.calls import SECRET, call, headers_for


@asynccontextmanager
async def listening(tmp_path: Path, address: str = "127.0.0.1:0"):
    """A house that listens: the services, and where."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    given = {"listen": address, "secret_file": str(file)}
    async with (
        open_services(tmp_path / "root", webhooks=given) as services,
        anyio.create_task_group() as tasks,
    ):
        with capture_logs() as lines:
            tasks.start_soon(listen, services)
            await until(lambda: any(line["event"].startswith("webhooks.") for line in lines))
            yield services, lines
            tasks.cancel_scope.cancel()


def where(lines) -> str:
    (line,) = (line for line in lines if line["event"] == "webhooks.listening")
    return f"http://{line['address']}/webhook"


async def test_a_signed_call_rings_and_what_is_not_one_gets_its_status(tmp_path):
    async with (
        listening(tmp_path) as (services, lines),
        httpx2.AsyncClient(trust_env=False) as client,
    ):
        shard = await opened(services, tmp_path / "root")
        body = call(shard.batch)
        url = where(lines)

        answer = await client.post(url, content=body, headers=headers_for(body))
        assert answer.status_code == 200
        assert (await client.post(url, content=body)).status_code == 401
        assert (await client.get(url)).status_code == 405
        large = b"x" * (MOST_BYTES + 1)
        assert (await client.post(url, content=large)).status_code == 413

        await until(
            lambda: any(line["event"] == "webhooks.rang" for line in lines),
            move=lambda: services.clock.advance(1.0),
        )


async def test_a_connection_that_says_nothing_keeps_nobody_from_leaving(tmp_path):
    async with listening(tmp_path) as (_, lines):
        host, _, port = where(lines).removeprefix("http://").partition("/")[0].rpartition(":")
        stream = await anyio.connect_tcp(host, int(port))
        await stream.send(b"POST / HTTP/1.1\r\n")
    # Left within the block's end, with the connection open.
    await stream.aclose()


async def test_a_port_that_is_taken_is_said_once_and_harms_nobody(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with listening(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}") as (services, lines):
            for _ in range(3):
                await anyio.wait_all_tasks_blocked()
                services.clock.advance(61.0)
            assert [line["event"] for line in lines] == ["webhooks.off"]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
def test_an_address_may_be_written_as_usual(address: str):
    try:
        with listener_on(address) as listener:
            assert listener.getsockname()[1] > 0
    except OSError:
        if not address.startswith("["):
            raise
        pytest.skip("this machine has no IPv6")
