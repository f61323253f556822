"""What a stage is, how its loop is turned, and whom it wakes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock
from batchd.runtime.loop import Crew, run_loop
from batchd.runtime.pace import Pace
from batchd.runtime.services import Services


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


async def run_stage(stage: Stage, services: Services) -> None:
    """Turn one stage's loop until it is cancelled."""
    crew, bell = services.crews[stage.NAME], services.bells[stage.NAME]
    await run_loop(
        stage.NAME,
        partial(_look, stage, services, Pace(crew, bell, services.clock)),
        crew=crew,
        bell=bell,
        clock=services.clock,
        beat=partial(services.beat, stage.NAME),
    )


async def _look(stage: Stage, services: Services, pace: Pace) -> float | None:
    await pace.wait()
    began = services.clock.monotonic()
    started = await stage.run_once(services)
    seconds = await stage.next_look(services)
    pace.note(started, took=services.clock.monotonic() - began)
    return seconds


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
