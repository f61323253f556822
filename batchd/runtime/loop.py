"""One generic loop per stage, and what a stage has in flight.

The only place that catches whatever comes: one thing's failure is that thing's delay, one stage's
failure is that stage's delay, and only a broken invariant brings the house down.
"""

from __future__ import annotations

import errno
import math
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
from batchd.core.reasons import ReasonCode
from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock

log = structlog.get_logger()

TICK_SECONDS = 5.0  #: a lost bell costs this much at the most
#: Seconds between two tries of a key that was refused: one 401 may be a mishap, and nobody mends a
#: revoked key within a minute.
_FIRST_REST, _LONGEST_REST = 5.0, 60.0
#: A full disk or a lost connection is nobody's mistake, however often it is met.
_PASSING = (OSError, RemoteError, sqlite3.OperationalError)
LIGHT = 8  #: so many light things weigh as much as another one
LIGHT_BYTES, LIGHT_REQUESTS = 1 << 17, 100  #: what is light: a few hundredths of a second of work
_MANY, _WITHIN = 5, 600.0  #: that many failures of a stage in so many seconds are ours to mend


@dataclass(slots=True)
class _Delay:
    tries: int
    until: float


class Rest:
    """While the provider denies us (401, 403, quota), remote work rests; nothing is rejected."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = -math.inf
        self._seconds = 0.0  #: the length of the last one
        self.reason: str | None = None

    def begin(self, error: RemoteDenied) -> None:
        """Rest for a while, longer each time; say so once. Calls that were in flight add nothing."""
        self.reason = str(error)
        if self.is_on:
            return
        now = self._clock.monotonic()
        goes_on = now - self._until < _LONGEST_REST
        self._seconds = min(self._seconds * 2 if goes_on else _FIRST_REST, _LONGEST_REST)
        self._until = now + self._seconds
        log.warning(
            "remote.denied",
            reason=ReasonCode.DENIED,
            text=self.reason,
            again_in_seconds=self._seconds,
        )

    @property
    def is_on(self) -> bool:
        """Whether remote work rests now."""
        return self._clock.monotonic() < self._until


@dataclass(slots=True)
class _Begun:
    weight: int
    ended: anyio.Event


class Crew:
    """The things one stage has in flight, up to a limit.

    Light ones are taken by the handful, and wait here for their turn: to look into the ledger for
    each of thousands of small files costs more than what is done with them. There are never more
    at work than the limit, and whoever comes later waits behind a few light things at the most.
    """

    def __init__(self, name: str, *, clock: Clock, rest: Rest, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.on_done: Callable[[], None] = lambda: None  #: rings the bells
        self._clock = clock
        self._rest = rest
        self._at_work = anyio.Semaphore(limit, fast_acquire=True)
        self._busy: dict[str, _Begun] = {}
        self._delays: dict[str, _Delay] = {}
        self._free = limit * LIGHT
        self._is_closed = False  #: somebody was turned away: nobody slips in before him

    @property
    def room(self) -> int:
        """How many more things may be started."""
        return self._free // LIGHT

    @property
    def reach(self) -> int:
        """How many things to read from the ledger, the first in line first.

        There is then something to do behind those in flight and those delayed: a few that fail
        again and again would keep all others out.
        """
        return self.limit * LIGHT + len(self._busy) + len(self._delays)

    @property
    def has_enough(self) -> bool:
        """Whether nobody here is without work."""
        return len(self._busy) >= self.limit

    @property
    def busy(self) -> Iterable[str]:
        """What is in flight."""
        return self._busy.keys()

    def is_busy(self, key: str) -> bool:
        """Whether a thing is in flight."""
        return key in self._busy

    def is_free(self, key: str) -> bool:
        """Whether a thing is neither in flight nor delayed."""
        delay = self._delays.get(key)
        return key not in self._busy and (delay is None or delay.until <= self._clock.monotonic())

    def start(
        self,
        tasks: TaskGroup,
        key: str,
        work: Callable[..., Awaitable[None]],
        *args: Any,
        light: bool = False,
    ) -> bool:
        """Start one thing in the background, if it is free and there is room."""
        if not self.is_free(key):
            return False
        weight = 1 if light else LIGHT
        if self._is_closed or weight > self._free:
            self._is_closed = True
            return False
        self._free -= weight
        self._busy[key] = _Begun(weight, anyio.Event())
        tasks.start_soon(self._do, key, work, args)
        return True

    def next_free(self) -> float | None:
        """Seconds until the first delayed thing may be tried again."""
        now = self._clock.monotonic()
        return min((d.until - now for d in self._delays.values() if d.until > now), default=None)

    async def finish(self) -> None:
        """Wait until nothing is in flight."""
        while self._busy:
            await next(iter(self._busy.values())).ended.wait()

    async def _do(self, key: str, work: Callable[..., Awaitable[None]], args: Any) -> None:
        try:
            async with self._at_work:
                await work(*args)
        except BrokenInvariant:
            raise
        except Exception as error:
            self._delay(key, error)
        else:
            self._delays.pop(key, None)
        finally:
            self._end(self._busy.pop(key))

    def _end(self, begun: _Begun) -> None:
        self._free += begun.weight
        self._is_closed = False
        begun.ended.set()
        self.on_done()

    def _delay(self, key: str, error: Exception) -> None:
        if isinstance(error, RemoteDenied):
            self._rest.begin(error)
        tries = self._delays[key].tries + 1 if key in self._delays else 1
        asked = error.retry_after_seconds if isinstance(error, RemoteUnavailable) else None
        seconds = backoff(tries, asked_for=asked)
        self._delays[key] = _Delay(tries, self._clock.monotonic() + seconds)
        log.warning(
            f"{self.name}.delayed",
            subject=key,
            reason=_code_of(error),
            text=str(error) or type(error).__name__,
            tries=tries,
            again_in_seconds=round(seconds, 1),
            exc_info=_trace_of(error),
        )


def _code_of(error: Exception) -> ReasonCode | None:
    """Return the code of the closed list that `why` would show; None where there is none."""
    match error:
        case RemoteDenied():
            return ReasonCode.DENIED
        case RemoteUnavailable():
            return ReasonCode.PROVIDER_UNAVAILABLE
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ReasonCode.DISK_LOW
        case _:
            return getattr(error, "reason", None)


class _Failures:
    """A loop that fails again and again is ours to mend: then the house goes down, loudly."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: list[float] = []

    def note(self, name: str, error: Exception) -> float:
        """Note one; return the seconds to wait. Raises `BrokenInvariant` when it was one more."""
        now = self._clock.monotonic()
        self._times = [time for time in self._times if now - time < _WITHIN] + [now]
        if len(self._times) >= _MANY and not isinstance(error, _PASSING):
            raise BrokenInvariant(f"{name} failed {len(self._times)} times: {error}") from error
        seconds = min(backoff(len(self._times)), 60.0)
        log.error(
            "stage.failed",
            stage=name,
            reason=_code_of(error),
            text=str(error) or type(error).__name__,
            again_in_seconds=seconds,
            exc_info=_trace_of(error),
        )
        return seconds


def _trace_of(error: Exception) -> Exception | None:
    """A known error is told in its own words; an unknown one with its traceback."""
    return None if isinstance(error, BatchdError | OSError) else error


async def run_loop(
    name: str,
    look: Callable[[], Awaitable[float | None]],
    *,
    crew: Crew,
    bell: Bell,
    clock: Clock,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Turn one stage's loop until it is cancelled.

    `look` starts what is due, and returns the seconds until something may be due again, or None.
    `beat` is called at each turn, and while nothing is to be done at least once a tick.
    """
    failures = _Failures(clock)
    while True:
        beat()
        try:
            waits = (await look(), crew.next_free(), TICK_SECONDS)
            seconds = min(wait for wait in waits if wait is not None)
        except BrokenInvariant:
            raise
        except Exception as error:
            seconds = failures.note(name, error)
        await _rest(max(seconds, 0.0), bell=bell, clock=clock, beat=beat)


async def _rest(seconds: float, *, bell: Bell, clock: Clock, beat: Callable[[], None]) -> None:
    """Wait for the bell. A long delay after a failure is no hang either."""
    until = clock.monotonic() + seconds
    while not await bell.wait(min(seconds, TICK_SECONDS)):
        beat()
        seconds = until - clock.monotonic()
        if seconds <= 0:
            return
