"""The sandbox in the running event loop: on a port, until it is closed, leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from batchd.sandbox.app import build
from batchd.sandbox.ledger import ledger_of
from batchd.sandbox.options import Options
from batchd.sandbox.world import World


class Sandbox:
    """A sandbox that is listening. The methods are what its own routes do, without HTTP."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        self.world = world
        self.host, self.port = address

    @property
    def url(self) -> str:
        """Where `/sandbox/...` is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    def ledger(self, *, executions: bool = True) -> dict[str, Any]:
        """As `GET /sandbox/ledger`."""
        return ledger_of(self.world, executions=executions)

    def set_faults(self, **faults: Any) -> None:
        """As `PUT /sandbox/faults`: the named ones are set anew, None takes one back."""
        self.world.change_faults(faults)

    def clear_faults(self) -> None:
        self.world.clear_faults()


class _Server(uvicorn.Server):
    """A uvicorn that leaves signals alone and ends at once: nobody waits for a sandbox."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self._world = world
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._world.closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            _abort(connection)
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        while self.server_state.connections:  # noqa: ASYNC110  # one round of the loop away
            await asyncio.sleep(0)


def _abort(connection: Any) -> None:
    """Idle or busy, kept alive or not."""
    connection.transport.abort()


@contextlib.asynccontextmanager
async def running_sandbox(options: Options | None = None) -> AsyncIterator[Sandbox]:
    """A sandbox for the time of the block. Port 0 takes a free one; `base_url` tells which."""
    options = options or Options()
    with _folder(options) as folder, _listener(options) as listener:
        world = World(options, folder)
        server = _Server(_config(world), world)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="sandbox: serving")
        await server.listening.wait()
        try:
            yield Sandbox(world, listener.getsockname()[:2])
        finally:
            world.closing.set()
            await serving
            await _end_lives(world)
            await world.bell.end()


def _config(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        build(world),
        http="h11",
        ws="none",
        lifespan="off",
        # Longer than clients keep a connection: at 5 s, the default, both would hang up at once.
        timeout_keep_alive=120,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


def _listener(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Named as TCP: only then does asyncio set TCP_NODELAY, without which each call waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _folder(options: Options) -> Iterator[Path]:
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        yield options.folder
    else:
        with tempfile.TemporaryDirectory(prefix="batchd-sandbox-") as folder:
            yield Path(folder)


async def _end_lives(world: World) -> None:
    for life in world.lives:
        life.cancel()
    await asyncio.gather(*world.lives, return_exceptions=True)
