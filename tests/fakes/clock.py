"""A clock that stands still until a test moves it."""

from __future__ import annotations

import anyio


class FakeClock:
    """Time for tests: `advance` is the only thing that makes it pass."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start
        self._moved = anyio.Event()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    @property
    def boot(self) -> str:
        return "fake"

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever's time has come."""
        self._now += seconds
        self._moved.set()
        self._moved = anyio.Event()

    async def wait(self, event: anyio.Event, seconds: float) -> None:
        until = self._now + seconds
        while not event.is_set() and self._now < until:
            async with anyio.create_task_group() as either:
                either.start_soon(_first, event, either.cancel_scope)
                either.start_soon(_first, self._moved, either.cancel_scope)


async def _first(event: anyio.Event, done: anyio.CancelScope) -> None:
    await event.wait()
    done.cancel()
