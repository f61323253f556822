"""HTTP on a socket of ours, over real connections: answered, bounded, and ended at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from batchd.runtime.listener import STAY, Bounds, serve

ROOMY = Bounds(at_once=16, longest=30.0)
ASKED = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def tell(scope, receive, send) -> None:
    """Answer with what the connection says of itself."""
    said = str(scope.get("test.who", "nobody")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.setblocking(False)
        yield made


@asynccontextmanager
async def serving(app, listener, bounds=ROOMY, **more):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serve(app, listener, bounds, **more))
        yield
        tasks.cancel_scope.cancel()


async def connected(listener):
    return await anyio.connect_tcp(*listener.getsockname())


async def all_of(stream) -> bytes:
    """What comes until the other end hangs up, however it does that."""
    received = b""
    try:
        async for part in stream:
            received += part
    except anyio.BrokenResourceError:
        pass
    return received


async def test_what_a_connection_tells_is_with_each_of_its_requests(listener):
    told = {"test.who": "anna"}
    async with (
        serving(tell, listener, told=lambda transport: told),
        await connected(listener) as stream,
    ):
        await stream.send(ASKED)
        head, _, body = (await all_of(stream)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert body.rstrip(b"\r\n0").endswith(b"anna")


async def test_more_than_may_come_at_once_are_told_to_come_again(listener):
    async with (
        serving(tell, listener, Bounds(at_once=1, longest=30.0)),
        await connected(listener),
        await connected(listener) as second,
    ):
        await second.send(ASKED)
        assert (await all_of(second)).startswith(b"HTTP/1.1 503")


async def test_one_that_speaks_for_ever_is_cut_off(listener):
    async with (
        serving(tell, listener, Bounds(at_once=16, longest=0.2)),
        await connected(listener) as stream,
    ):
        await stream.send(ASKED[:20])
        with anyio.fail_after(10):
            assert await all_of(stream) == b""


async def test_it_ends_when_there_is_nothing_to_stay_for(listener):
    over = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: serve(tell, listener, ROOMY, stay=over.wait))
            async with await connected(listener) as stream:
                over.set()
                assert await all_of(stream) == b""


async def test_a_guest_who_does_not_leave_keeps_nobody(listener):
    """Such as an answer that waits for a folder on a stalled disk, in a thread that can't stop."""
    begun, disk_is_well = anyio.Event(), anyio.Event()

    async def stuck(scope, receive, send) -> None:
        begun.set()
        with anyio.CancelScope(shield=True):
            await disk_is_well.wait()

    started = time.monotonic()
    async with serving(stuck, listener):
        stream = await connected(listener)
        await stream.send(ASKED)
        await begun.wait()
    seconds = time.monotonic() - started
    disk_is_well.set()
    await stream.aclose()

    assert seconds < 5.0


async def test_an_answer_that_takes_longer_may_keep_its_connection(listener):
    async def slow(scope, receive, send) -> None:
        scope[STAY](30.0)
        await anyio.sleep(0.3)  # the kernel's time, and longer than any may stay
        await tell(scope, receive, send)

    async with (
        serving(slow, listener, Bounds(at_once=16, longest=0.1)),
        await connected(listener) as stream,
    ):
        await stream.send(ASKED)
        assert (await all_of(stream)).startswith(b"HTTP/1.1 200")


async def test_and_no_longer_than_it_has_said(listener):
    async def slower(scope, receive, send) -> None:
        scope[STAY](0.1)
        await anyio.sleep_forever()

    async with serving(slower, listener), await connected(listener) as stream:
        await stream.send(ASKED)
        with anyio.fail_after(10):
            assert await all_of(stream) == b""
