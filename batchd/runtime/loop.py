"""One generic loop per stage, and what a stage has in flight.

The only place that catches whatever comes: one thing's failure is that thing's delay, one stage's
failure is that stage's delay, and only a broken invariant brings the house down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from batchd.core.errors import (
    BatchdError,
    BrokenInvariant,
    RemoteDenied,
    RemoteError,
    RemoteUnavailable,
)
from batchd.core.pacing import backoff
from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock

if TYPE_CHECKING:
    from batchd.runtime.services import Services

log = structlog.get_logger()

TICK_SECONDS = 5.0  #: a lost bell costs this much at the most
_DENIED_REST = 60.0  #: between two tries of a key that was refused: nobody mends it faster
_MANY, _WITHIN = 5, 600.0  #: that many failures of a stage in so many seconds are ours to mend


class Stage(Protocol):
    """What a stage module has. Six modules have it."""

    @property
    def NAME(self) -> str:
        """What it is called in logs."""
        ...

    @property
    def WAKES(self) -> Sequence[str]:
        """The stages that have something to do when this one has done something."""
        ...

    @property
    def LIMIT(self) -> int:
        """How many things it has in flight at once."""
        ...

    async def run_once(self, services: Services) -> int:
        """Start what is due and not in flight; return how many things were started."""
        ...

    async def next_look(self, services: Services) -> float | None:
        """Seconds until something may be due; None when only a bell can bring something."""
        ...


@dataclass(slots=True)
class _Delay:
    tries: int
    until: float


class Rest:
    """While the provider denies us (401, 403, quota), remote work rests; nothing is rejected."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self.reason: str | None = None

    def begin(self, error: RemoteDenied) -> None:
        """Rest for a while; say so once."""
        if not self.is_on:
            log.warning("remote.denied", reason=str(error), again_in_seconds=_DENIED_REST)
        self._until = self._clock.monotonic() + _DENIED_REST
        self.reason = str(error)

    @property
    def is_on(self) -> bool:
        """Whether remote work rests now."""
        return self._clock.monotonic() < self._until


class Crew:
    """The things one stage has in flight, up to a limit."""

    def __init__(self, name: str, *, clock: Clock, rest: Rest, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.on_done: Callable[[], None] = lambda: None  #: rings the bells
        self._clock = clock
        self._rest = rest
        self._busy: dict[str, anyio.Event] = {}
        self._delays: dict[str, _Delay] = {}

    @property
    def room(self) -> int:
        """How many more things may be started."""
        return self.limit - len(self._busy)

    def is_free(self, key: str) -> bool:
        """Whether a thing is neither in flight nor delayed."""
        delay = self._delays.get(key)
        return key not in self._busy and (delay is None or delay.until <= self._clock.monotonic())

    def start(
        self, tasks: TaskGroup, key: str, work: Callable[..., Awaitable[None]], *args: Any
    ) -> bool:
        """Start one thing in the background, if it is free and there is room."""
        if self.room <= 0 or not self.is_free(key):
            return False
        self._busy[key] = anyio.Event()
        tasks.start_soon(self._do, key, work, args)
        return True

    def next_free(self) -> float | None:
        """Seconds until the first delayed thing may be tried again."""
        now = self._clock.monotonic()
        return min((d.until - now for d in self._delays.values() if d.until > now), default=None)

    async def finish(self) -> None:
        """Wait until nothing is in flight."""
        while self._busy:
            await next(iter(self._busy.values())).wait()

    async def _do(self, key: str, work: Callable[..., Awaitable[None]], args: Any) -> None:
        try:
            await work(*args)
        except BrokenInvariant:
            raise
        except Exception as error:
            self._delay(key, error)
        else:
            self._delays.pop(key, None)
        finally:
            self._busy.pop(key).set()
            self.on_done()

    def _delay(self, key: str, error: Exception) -> None:
        if isinstance(error, RemoteDenied):
            self._rest.begin(error)
        tries = self._delays[key].tries + 1 if key in self._delays else 1
        asked = error.retry_after_seconds if isinstance(error, RemoteUnavailable) else None
        seconds = backoff(tries, asked_for=asked)
        self._delays[key] = _Delay(tries, self._clock.monotonic() + seconds)
        # A known error is told in its own words; an unknown one with its traceback.
        trace = None if isinstance(error, BatchdError | OSError) else error
        log.warning(
            f"{self.name}.delayed",
            subject=key,
            reason=str(error) or type(error).__name__,
            tries=tries,
            again_in_seconds=round(seconds, 1),
            exc_info=trace,
        )


class _Failures:
    """A loop that fails again and again is ours to mend: then the house goes down, loudly."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: list[float] = []

    def note(self, name: str, error: Exception) -> float:
        """Note one; return the seconds to wait. Raises `BrokenInvariant` when it was one more."""
        now = self._clock.monotonic()
        self._times = [time for time in self._times if now - time < _WITHIN] + [now]
        if len(self._times) >= _MANY and not isinstance(error, OSError | RemoteError):
            raise BrokenInvariant(f"{name} failed {len(self._times)} times: {error}") from error
        seconds = min(backoff(len(self._times)), 60.0)
        log.error("stage.failed", stage=name, again_in_seconds=seconds, exc_info=error)
        return seconds


async def run_stage(stage: Stage, services: Services) -> None:
    """Turn one stage's loop until it is cancelled."""
    bell, crew = services.bells[stage.NAME], services.crews[stage.NAME]
    failures = _Failures(services.clock)
    while True:
        try:
            await stage.run_once(services)
            waits = (await stage.next_look(services), crew.next_free(), TICK_SECONDS)
            seconds = min(wait for wait in waits if wait is not None)
        except BrokenInvariant:
            raise
        except Exception as error:
            seconds = failures.note(stage.NAME, error)
        services.heartbeat[stage.NAME] = services.clock.monotonic()
        await bell.wait(max(seconds, 0.0))


def bells_for(stages: Sequence[Stage], clock: Clock) -> dict[str, Bell]:
    """Make one bell per stage."""
    return {stage.NAME: Bell(clock) for stage in stages}


def connect(stages: Sequence[Stage], crews: dict[str, Crew], bells: dict[str, Bell]) -> None:
    """Let whatever a stage finishes ring its own bell and those of the stages it wakes."""
    for stage in stages:
        woken = [bells[name] for name in (stage.NAME, *stage.WAKES)]
        crews[stage.NAME].on_done = partial(_ring, woken)


def _ring(bells: Sequence[Bell]) -> None:
    for bell in bells:
        bell.ring()
