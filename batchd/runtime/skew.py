"""Whether the clock of the folders' file systems is ours. For people: nothing decides by it.

A file server with a clock of its own makes the times that `ls` and `find -newer` show misleading.
batchd compares no file's time with its own, so that it costs a warning and no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import anyio
import structlog

from batchd.runtime.clock import Clock
from batchd.runtime.threads import in_thread

log = structlog.get_logger()

NOTABLE = 5.0  #: seconds; less is what unsynchronised machines on one desk have (reference, R28)
_PROBE = ".batchd-clock"
_EVERY = 600.0  #: seconds between two looks: a clock goes wrong in hours, and each writes a file


async def watch_clocks(
    folders: Sequence[Path], clock: Clock, *, wall: Callable[[], float] = time.time
) -> None:
    """Say of each folder when its clock differs from ours, and when it doesn't any more."""
    skews = Skews(folders, wall)
    while True:
        for folder, seconds in await in_thread(lambda: list(skews.changes())):
            if seconds:
                log.warning("folders.clock_skew", folder=str(folder), seconds=seconds, text=_TEXT)
            else:
                log.info("folders.clock_agrees", folder=str(folder))
        await clock.wait(anyio.Event(), _EVERY)


_TEXT = (
    "the file system's clock is not this machine's: times that ls shows are wrong by that much;"
    " files are taken all the same. Mend the clock of one of the two (timedatectl)"
)


class Skews:
    """Remembers what was said, so that nothing is said twice."""

    def __init__(self, folders: Sequence[Path], wall: Callable[[], float]) -> None:
        self._wall = wall
        self._off = dict.fromkeys(folders, False)

    def changes(self) -> Iterator[tuple[Path, float]]:
        """Yield each folder that has begun to differ, and by how much; 0 for one that agrees."""
        for folder, was_off in self._off.items():
            try:
                seconds = measured(folder, self._wall)
            except OSError:
                continue  # full, read-only, gone: told elsewhere, and louder
            is_off = abs(seconds) > NOTABLE
            if is_off != was_off:
                self._off[folder] = is_off
                yield folder, round(seconds, 1) if is_off else 0.0


def measured(folder: Path, wall: Callable[[], float]) -> float:
    """By how many seconds a file that is written now is ahead of us; negative where it is behind."""
    probe = folder / _PROBE
    probe.unlink(missing_ok=True)  # from a life that was killed
    before = wall()
    try:
        probe.write_bytes(b"?")
        stamped = probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
    return outside(stamped, before, wall())


def outside(stamped: float, before: float, after: float) -> float:
    """How far a time lies outside of the moment in which it was set: a slow disk is no skew."""
    return min(stamped - before, 0.0) + max(stamped - after, 0.0)
