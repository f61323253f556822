"""What a user sees of an inbox: the reason of each file, the folders, and what was rejected."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batchd.control.presence import Presence
from batchd.core.reasons import Reason
from batchd.runtime.services import Services
from batchd.spool.bulletin import inbox_seen
from batchd.stages import claim
from tests.control.asking import ask
from tests.houses import drop, live, open_services, read_receipt, request, requests, turn
from tests.nobody import as_nobody


def line(custom_id: str, *, text: str = "hello") -> bytes:
    """One request line, with its line break."""
    return json.dumps(request(custom_id, text=text)).encode() + b"\n"


def lines(count: int, *, prefix: str = "r", text: str = "hello") -> bytes:
    """A whole file of requests."""
    return b"".join(line(f"{prefix}-{number}", text=text) for number in range(count))


def put(path: Path, content: bytes) -> Path:
    """Write a file where it lies, as careless programs do."""
    path.write_bytes(content)
    return path


async def look(services: Services, *, seconds: float = 0.0) -> None:
    """Let time pass, and let the daemon look at its inbox once."""
    services.clock.advance(seconds)  # type: ignore[attr-defined]  # the fake one
    # The list is written at most every few seconds of real time, and these pass in an instant.
    (services.folders.var / "inbox.json").unlink(missing_ok=True)
    await claim.run_once(services)


def why(services: Services, path: Path) -> Reason:
    """`batchd why PATH`, by what the daemon's last look left."""
    seen = inbox_seen(services.folders.var)
    inbox, looked_ago = seen or (None, None)
    daemon = Presence(is_running=True, pid=1, since=0.0, inbox=inbox, looked_ago=looked_ago)
    root, now = services.folders.root, services.clock.now()
    return ask(root, str(path), now=now, daemon=daemon, given=services.settings).reason


def is_claimed(services: Services) -> bool:
    """Whether anything was taken out of the inbox."""
    return bool(services.work.jobs())


def folders(root: Path) -> list[Path]:
    """What has appeared in the outbox, the oldest first; several may come of one name."""
    found = [path for path in (root / "outbox").iterdir() if not path.name.startswith(".")]
    return sorted(found, key=lambda path: str(read_receipt(path)["job"]))


def content_of(folder: Path) -> bytes:
    """The dropped file, as it was delivered; its hash in the receipt is its own."""
    (dropped,) = (folder / "input").iterdir()
    content = dropped.read_bytes()
    assert read_receipt(folder)["sha256"] == hashlib.sha256(content).hexdigest()
    return content


def rejection(folder: Path) -> str:
    """The first line of a rejected file's error.txt; the rest of the folder fits it."""
    assert folder.suffix == ".rejected", folder
    receipt = read_receipt(folder)
    assert (receipt["outcome"], receipt["batches"]) == ("rejected", [])
    assert not (folder / "results.jsonl").exists()
    return (folder / "error.txt").read_text().splitlines()[0]


@asynccontextmanager
async def as_ordinary_user() -> AsyncIterator[Path]:
    """A root of an ordinary user's, as that user: root itself may read and rename everything."""
    with tempfile.TemporaryDirectory() as folder:
        # Whatever is imported late is imported now: the interpreter itself may be root's alone.
        async with open_services(Path(folder) / "before") as services:
            drop(Path(folder) / "before", "a.jsonl", requests(1))
            await live(services, deliveries=1)
    with as_nobody() as root:
        yield root


async def live_until(services: Services, *, folders_there: int) -> list[Path]:
    """Let the stages run and time pass until so many folders have appeared, of whatever name."""
    for _ in range(2000):
        found = folders(services.folders.root)
        if len(found) >= folders_there:
            return found
        if not await turn(services):
            services.clock.advance(1.0)  # type: ignore[attr-defined]  # the fake one
    raise AssertionError(f"only {len(found)} of {folders_there} folders appeared")
