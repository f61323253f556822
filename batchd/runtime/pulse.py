"""Tells the service manager how we are: a line of status, and a sign of life tied to progress.

A sign of life is sent only while every stage's loop turns and the ledger answers. A long upload is
no hang: the loop that started it goes on turning.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from typing import Protocol

import anyio
import structlog

from batchd.core.words import duration
from batchd.runtime.clock import Clock
from batchd.runtime.loop import TICK_SECONDS
from batchd.runtime.services import Services
from batchd.runtime.systemd import Manager
from batchd.store.lookups import Glance

log = structlog.get_logger()

SECONDS_BETWEEN = 4.0  #: two reports: what `systemctl status` shows is at most five seconds old
PER_PERIOD = 3  #: signs of life in a watchdog's period: one may be late
LOOP_SECONDS = 3 * TICK_SECONDS  #: a loop that is well turns once a tick; a claim takes its time
LEDGER_SECONDS = 5.0
LEDGER = "ledger"


class Pulse:
    """Which of those who should beat have stopped.

    Counted in our own looks, not by the clock: after a night in suspend nobody is late.
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = limits  #: seconds, by name
        self._last: dict[str, float] = {}
        self._still = dict.fromkeys(limits, 0.0)

    def look(self, beats: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Look after `seconds`; return for how long those have not beaten who should have."""
        for name in self._limits:
            beat = beats.get(name, -math.inf)
            is_new = beat != self._last.get(name, -math.inf)
            self._still[name] = 0.0 if is_new else self._still[name] + seconds
            self._last[name] = beat
        return {name: s for name, s in self._still.items() if s > self._limits[name]}


async def report(services: Services, manager: Manager) -> None:
    """Tell the manager until cancelled; without one, nothing."""
    if manager.address is None:
        return
    async with anyio.create_task_group() as both:
        asking = Asking(services.ledger, services.clock, _seconds_between(manager))
        both.start_soon(asking.keep)
        await _keep_telling(services, manager, asking)


def _seconds_between(manager: Manager) -> float:
    return min(SECONDS_BETWEEN, (manager.watchdog_seconds or math.inf) / PER_PERIOD)


class _Glances(Protocol):
    async def glance(self) -> Glance: ...


class Asking:
    """Asks the ledger again and again, by itself: one that hangs must not keep us from saying so."""

    def __init__(self, ledger: _Glances, clock: Clock, seconds: float) -> None:
        self._ledger, self._clock = ledger, clock
        self.seconds = seconds
        self.answered = -math.inf  #: monotonic
        self.said: Glance | None = None

    async def keep(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                self.said = await self._ledger.glance()
            except (OSError, sqlite3.Error):
                self.said = None  # an answer too: others are louder about it, and no restart helps
            self.answered = self._clock.monotonic()
            await self._clock.wait(anyio.Event(), self.seconds)


async def _keep_telling(services: Services, manager: Manager, asking: Asking) -> None:
    limits = dict.fromkeys(services.crews, LOOP_SECONDS)
    pulse, was_well = Pulse({**limits, LEDGER: LEDGER_SECONDS + asking.seconds}), True
    while True:
        beats = {**services.heartbeat, LEDGER: asking.answered}
        still = pulse.look(beats, asking.seconds)
        if still:
            manager.status(_in_trouble(still))
        else:
            manager.alive(_well(services, asking.said))
        if was_well is bool(still):
            was_well = not still
            _log(still)
        await services.clock.wait(anyio.Event(), asking.seconds)


def _log(still: Mapping[str, float]) -> None:
    if still:
        log.error("watchdog.withheld", text=_in_trouble(still))
    else:
        log.warning("watchdog.resumed")


def _in_trouble(still: Mapping[str, float]) -> str:
    what = (f"{name} has not moved for {_short(seconds)}" for name, seconds in still.items())
    return f"hanging: {', '.join(what)}"


def _well(services: Services, glance: Glance | None) -> str:
    """`3 open (oldest 2h11m), 1 waiting, next poll 24s`, and why nothing is taken or sent."""
    if glance is None:
        return "the ledger has not been read yet, or can't be"
    now, parts = services.clock.now(), [f"{glance.open} open"]
    if glance.oldest is not None:
        parts[0] += f" (oldest {_short(now - glance.oldest)})"
    parts.append(f"{glance.waiting} waiting")
    if glance.next_look is not None:
        parts.append(f"next poll {_short(glance.next_look - now)}")
    if services.intake.reason is not None:
        parts.append(f"takes no files: {services.intake.reason}")
    if services.rest.is_on:
        parts.append(f"remote work rests: {services.rest.reason}")
    return ", ".join(parts)


def _short(seconds: float) -> str:
    """`2h11m`: a status is one line."""
    return duration(round(seconds)).replace(" min", "m").replace(" ", "")
