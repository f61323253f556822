"""Asks a test's house as the command line would, at the house's own time."""

from __future__ import annotations

from pathlib import Path

from batchd.control.ledger import reading
from batchd.control.places import place_of
from batchd.control.presence import Presence
from batchd.control.status import Status, status_of
from batchd.control.why import Answer, Question
from batchd.runtime.services import Services
from batchd.settings import Settings
from batchd.spool.folders import Folders
from tests.houses import drop, recipes, requests, settings, turn

RUNNING = Presence(is_running=True, pid=1, since=0.0)


def ask(
    root: Path,
    word: str,
    *,
    now: float,
    daemon: Presence = RUNNING,
    cwd: Path | None = None,
    given: Settings | None = None,
) -> Answer:
    """`batchd why WORD`."""
    folders = Folders(root)
    with reading(folders.database) as reader:
        return Question(
            word=word,
            place=place_of(word, folders=folders, cwd=cwd or root.parent),
            folders=folders,
            settings=given or settings(root),
            recipes=recipes(root),
            reader=reader,
            daemon=daemon,
            now=now,
        ).answer()


def look_at(
    root: Path, *, now: float, daemon: Presence = RUNNING, given: Settings | None = None
) -> Status:
    """`batchd status`."""
    folders = Folders(root)
    with reading(folders.database) as reader:
        return status_of(
            folders,
            given or settings(root),
            recipes=recipes(root),
            reader=reader,
            daemon=daemon,
            now=now,
        )


async def open_batches(services: Services, *names: str) -> None:
    """Drop files, and let time pass until each has a batch that takes its time."""
    services.remote.batch_seconds = 10_000.0  # type: ignore[attr-defined]  # the fake one
    before = len(services.remote.opened)  # type: ignore[attr-defined]
    for name in names:
        drop(services.folders.root, name, requests(2, prefix=name))
    while len(services.remote.opened) < before + len(names):  # type: ignore[attr-defined]
        await turn(services)
        services.clock.advance(1.0)  # type: ignore[attr-defined]
