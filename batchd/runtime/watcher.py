"""The doorbell at the inbox: makes the next look sooner, and is never the truth.

watchfiles loses files silently when its queue overflows, dies of a name that isn't UTF-8, and goes
deaf when the inbox is deleted or renamed; it says nothing at all on network file systems. So what
it reports is thrown away: it only rings, and whatever happens to it costs a few seconds.

The folders of tasks in the inbox are watched beside it, each by itself: watching the inbox with all
that is in it would ring for every piece that a program writes in .tmp/, and watch whole trees that
somebody left there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import structlog
from anyio.lowlevel import checkpoint
from watchfiles import awatch

from batchd.core.pacing import backoff
from batchd.runtime.bell import Bell
from batchd.runtime.clock import Clock

log = structlog.get_logger()

WATCHING = "inotify"
_TURN_MS = 5000  #: `rust_timeout`: how often the folders are compared, as often as they are scanned
#: Milliseconds between two looks of its thread at what the kernel has told. It asks all the time
#: rather than being told: its own 50 are twenty wake-ups a second for nothing.
_STEP_MS = 100
_LONGEST_PAUSE = 60.0
_LIMITS = {
    "Too many open files": "fs.inotify.max_user_instances=1024",
    "watch limit reached": "fs.inotify.max_user_watches=524288",
}

logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts changes at INFO


async def watch(
    inbox: Path,
    bell: Bell,
    clock: Clock,
    *,
    folders: Callable[[], Sequence[Path]] = lambda: (),
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Ring when something changes in the inbox, or in one of `folders`, until cancelled. Never
    raises.

    `folders` is asked again and again, for some come and go. `tell` is told how new files are
    learned of: "inotify", or "scan only: " and why.
    """
    tries, told = 0, ""
    while True:
        started = clock.monotonic()
        tell(WATCHING)
        reason = await _watch_once(inbox, bell, folders)
        if reason is None:
            bell.ring()  # what came into a new folder before it was watched is looked for
            continue
        tries = 1 if clock.monotonic() - started > _LONGEST_PAUSE else tries + 1
        seconds = min(backoff(tries), _LONGEST_PAUSE)
        # Where there is no inotify at all, saying so every minute would only fill the log.
        write = log.debug if reason == told else log.warning
        write("watcher.lost", text=reason, again_in_seconds=seconds)
        told = reason
        tell(f"scan only: {reason}")
        bell.ring()
        await clock.wait(anyio.Event(), seconds)


async def _watch_once(inbox: Path, bell: Bell, folders: Callable[[], Sequence[Path]]) -> str | None:
    """Watch these very folders until the inbox is another one, or the watcher breaks: return what
    happened. None where it is only the others that are not the same any more.
    """
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        # Its thread can't be cancelled, only told, and whoever waits for it hears of nothing.
        tasks.start_soon(_tell_when_cancelled, stop)
        result = await _changes(inbox, bell, folders, stop)
        tasks.cancel_scope.cancel()
    await checkpoint()  # its end, where it was told, is nothing to speak of
    return result


async def _tell_when_cancelled(stop: anyio.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


async def _changes(
    inbox: Path, bell: Bell, folders: Callable[[], Sequence[Path]], stop: anyio.Event
) -> str | None:
    try:
        identity, beside = _identity(inbox), _identities(folders())
        async for changes in awatch(
            inbox,
            *beside,
            watch_filter=None,  # its own filter hides names anywhere in the path
            recursive=False,
            step=_STEP_MS,
            rust_timeout=_TURN_MS,
            yield_on_timeout=True,
            stop_event=stop,  # and no `ignore_permission_denied`: it swallows the watch limit, too
        ):
            if changes:
                bell.ring()
            # Made anew at once, a folder often has the very inode of the one that was deleted.
            changed = {path for _, path in changes}
            if str(inbox) in changed or _identity(inbox) != identity:
                return "the inbox is another folder now"
            if not changed.isdisjoint(map(str, beside)) or _identities(folders()) != beside:
                return None
    except (OSError, RuntimeError, ExceptionGroup) as error:
        return f"{type(error).__name__}: {error}{_remedy(str(error))}"
    return "it ended"


def _remedy(text: str) -> str:
    """What an operator can do about the kernel's limits; files are found without it, too."""
    for part, limit in _LIMITS.items():
        if part in text:
            return f" (the inbox is scanned instead; to be told at once: sysctl {limit})"
    return ""


def _identity(inbox: Path) -> tuple[int, int]:
    status = inbox.stat()
    return status.st_dev, status.st_ino


def _identities(folders: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """Those that can be watched: one that can't must not keep the others from it."""
    found = {}
    for folder in folders:
        with suppress(OSError):
            if os.access(folder, os.R_OK | os.X_OK):
                found[folder] = _identity(folder)
    return found
