"""A whole house for a test: real folders, real SQLite, the fake provider, a clock that is moved."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from batchd.daemon import open_house
from batchd.runtime.services import Services
from batchd.settings import Defaults, Settings
from batchd.spool.folders import Folders
from batchd.spool.recipes import Recipes
from batchd.stages import STAGES
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote

QUICK = {
    "folders": {"min_free_bytes": 0},  # the disk of whoever runs the tests is theirs
    "inbox": {"settle_seconds": 1.0, "scan_seconds": 10.0, "empty_grace_seconds": 3.0},
    "batches": {
        "poll_min_seconds": 5.0,
        "poll_max_seconds": 10.0,
        "doubt_seconds": 20.0,
        "count_tokens": "bytes",  # the same with and without the vocabularies installed
    },
}


def settings(root: Path, **sections: Mapping[str, Any]) -> Settings:
    """Settings for a test's root: quick ones, and what the test says."""
    merged: dict[str, dict[str, Any]] = {name: dict(values) for name, values in QUICK.items()}
    for name, values in sections.items():
        merged.setdefault(name, {}).update(values)
    merged["folders"]["root"] = str(root)
    return msgspec.convert(merged, Settings, dec_hook=lambda kind, value: kind(value))


@asynccontextmanager
async def open_services(
    root: Path,
    *,
    remote: FakeRemote | None = None,
    clock: FakeClock | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[Services]:
    """Open a house below `root`. Opening it again is a restart."""
    clock = clock or FakeClock()
    chosen = settings(root, **sections)
    folders = Folders(chosen.folders.root)
    folders.prepare()
    async with open_house(
        chosen,
        folders,
        remote=remote or FakeRemote(clock),
        clock=clock,
        tasks=root / "config" / "tasks",
    ) as services:
        yield services


async def live(
    services: Services,
    *,
    deliveries: int,
    turns: int = 3000,
    person: Callable[[Services], Awaitable[None]] | None = None,
) -> None:
    """Let the stages run, and time pass when nothing is to be done, until so many folders lie
    in the outbox. A `person` may have a word before each turn."""
    for _ in range(turns):
        if person is not None:
            await person(services)
        if len(delivered(services.folders.root)) >= deliveries and not await _unfinished(services):
            return
        if not await turn(services):
            services.clock.advance(await _until_something_is_due(services))  # type: ignore[attr-defined]  # the fake one
    raise AssertionError(
        f"after {turns} turns only {sorted(delivered(services.folders.root))} were delivered"
    )


async def _until_something_is_due(services: Services) -> float:
    looks = [await stage.next_look(services) for stage in STAGES]
    looks += [services.crews[stage.NAME].next_free() for stage in STAGES]
    return max(min(look for look in looks if look is not None), 0.01)


async def turn(services: Services) -> int:
    """Run each stage once, and wait for what it started."""
    started = 0
    for stage in STAGES:
        started += await stage.run_once(services)
        await services.crews[stage.NAME].finish()
    return started


async def until_sent(services: Services) -> None:
    """Let time pass until the provider has a batch of ours."""
    while not services.remote.opened:  # type: ignore[attr-defined]  # the fake one
        await turn(services)
        services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one


async def _unfinished(services: Services) -> bool:
    drafts = [path for path in services.folders.outbox.iterdir() if path.name.startswith(".")]
    return bool(drafts) or bool(await services.ledger.jobs_in("publishing"))  # type: ignore[arg-type]


def delivered(root: Path) -> dict[str, Path]:
    """The folders in the outbox, by the stem of the dropped file."""
    folders = [path for path in (root / "outbox").iterdir() if not path.name.startswith(".")]
    return {path.name.rpartition("--")[0]: path for path in folders}


def recipes(root: Path) -> Recipes:
    """The task files of a test's root."""
    return Recipes(root / "config" / "tasks", Defaults())


def write_task(root: Path, name: str, text: str = 'model = "m"\nprompt = "{{ text }}"\n') -> Path:
    """Write a task file: one that a text or a column of that name is enough for, if not said."""
    path = root / "config" / "tasks" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def drop(root: Path, name: str, lines: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """Drop a file into the inbox, as a program should: write elsewhere, rename.

    One whose name says so is compressed.
    """
    inbox = root / "inbox"
    (inbox / ".tmp").mkdir(parents=True, exist_ok=True)
    content = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    if name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    (inbox / ".tmp" / name).write_bytes(content)
    return (inbox / ".tmp" / name).rename(inbox / name)


def request(
    custom_id: str, *, model: str = "gpt-4o-mini", text: str | None = None
) -> dict[str, Any]:
    """One request line."""
    message = {"role": "user", "content": text or f"question {custom_id}"}
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": model, "messages": [message]},
    }


def requests(count: int, *, prefix: str = "r", **kind: Any) -> list[dict[str, Any]]:
    """Several request lines: r-1, r-2, ..."""
    return [request(f"{prefix}-{number}", **kind) for number in range(1, count + 1)]


def read_lines(path: Path) -> list[Any]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def read_receipt(folder: Path) -> dict[str, Any]:
    """A folder's receipt."""
    receipt: dict[str, Any] = json.loads((folder / "receipt.json").read_bytes())
    return receipt
