"""Keeps the loops turning until a signal says stop, and then stops within seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import anyio
import structlog

from batchd.runtime.lateness import mind_lateness
from batchd.runtime.pulse import report
from batchd.runtime.services import Services
from batchd.runtime.stage import Stage, run_stage
from batchd.runtime.systemd import NOBODY, Manager
from batchd.runtime.watcher import watch
from batchd.spool.bulletin import post_watcher
from batchd.spool.task_folders import folders_of_tasks

log = structlog.get_logger()

LEAVING = 3.0  #: seconds for closing what is open; with `daemon.grace_seconds` less than 15
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def supervise(
    stages: Sequence[Stage],
    services: Services,
    manager: Manager = NOBODY,
    *,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Run the stages and the watcher until SIGTERM or SIGINT; then let what is in flight end.

    `ready` is called once a signal is heard: whoever was told sooner could kill with the first.
    """

    def leaving() -> None:
        manager.stopping(seconds=services.settings.daemon.grace_seconds + LEAVING)

    turning = anyio.CancelScope()
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        ready()
        async with anyio.create_task_group() as obeying:
            obeying.start_soon(_obey, signals, turning, leaving)
            with turning:
                await _turn(stages, services, manager)
            await _let_finish(services)
            obeying.cancel_scope.cancel()


async def _turn(stages: Sequence[Stage], services: Services, manager: Manager) -> None:
    closely = services.settings.logging.level == "debug"
    async with anyio.create_task_group() as loops:
        loops.start_soon(_watch, services)
        loops.start_soon(report, services, manager)
        loops.start_soon(partial(mind_lateness, closely=closely))
        for stage in stages:
            loops.start_soon(run_stage, stage, services)


async def _watch(services: Services) -> None:
    """Have a doorbell where there can be one; the scan is the truth everywhere."""
    tell = partial(post_watcher, services.folders.var)
    if services.scan_only is not None:
        tell(f"scan only: {services.scan_only}")
        return
    inbox, bell = services.folders.inbox, services.bells["claim"]
    folders = partial(folders_of_tasks, inbox, services.recipes)
    await watch(inbox, bell, services.clock, folders=folders, tell=tell)


async def _obey(
    signals: AsyncIterator[signal.Signals],
    turning: anyio.CancelScope,
    leaving: Callable[[], None],
) -> None:
    """The first signal is a wish: no new claims, no new calls. The second one insists."""
    async for number in signals:
        if turning.cancel_called:
            log.warning("daemon.left_at_once")
            # As after kill -9: nothing is lost. A thread in a stalled file system can't hold us.
            os._exit(0)
        log.info("daemon.stopping", signal=number.name)
        leaving()
        turning.cancel()


def leave_for_sure(seconds: float) -> None:
    """End this process in a while, whatever still holds it: a thread in a stalled file system, say.

    As after kill -9: nothing is lost.
    """
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True  # an end that comes sooner is better
    timer.start()


async def _let_finish(services: Services) -> None:
    """Give the calls in flight `daemon.grace_seconds`."""
    with anyio.move_on_after(services.settings.daemon.grace_seconds) as grace:
        for crew in services.crews.values():
            await crew.finish()
    if grace.cancelled_caught:
        log.warning("daemon.left_unfinished", what="calls in flight go on at the next start")
