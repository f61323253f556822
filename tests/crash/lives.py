"""A whole life with everything in it, and what is left of it in the outbox."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from batchd.core.events import JobCancelled, JobHeld, JobReleased, Paused, Resumed
from batchd.core.model import CancelWhy, Pause
from batchd.runtime.services import Services
from batchd.spool.placing import PART
from tests.crash.tripwire import TRIPWIRE, Killed, TrippedLedger, TrippedRemote
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, request, requests, turn

FOLDERS = 8  #: what `drop_all` becomes
TWINS = ("a.jsonl", "again.jsonl")
SETTINGS = {
    "batches": {"max_requests": 3},
    "jobs": {"keep_days": 0.0001},
    "openai": {"delete_files": True},  # only what nobody needs any more, wherever it is killed
}


class World:
    """What outlives the daemon: the folders, the provider, the time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.remote = TrippedRemote(self.clock)
        # One fails once, one fails for good, one create is answered into the void, one batch
        # expires half-way: the whole table of verdicts in one life.
        self.remote.verdicts = {"a-2": [429, 200], "a-4": [400], "b-1": [500, 500, 500]}
        self.remote.lose_connection_after("create_batch")
        self.remote.expiring = {"a-6"}
        self.remote.endless = {"e-1"}
        drop_all(root)

    async def live(self, *, kill_at: int | None) -> None:
        """Start the daemon, and let it live until all is delivered, or until it is killed."""
        TRIPWIRE.arm(self.root, kill_at=kill_at)
        try:
            await self._live()
        except* Killed:
            pass
        finally:
            TRIPWIRE.disarm()

    async def _live(self) -> None:
        async with open_services(
            self.root, remote=self.remote, clock=self.clock, **SETTINGS
        ) as services:
            services.ledger = TrippedLedger(services.ledger)  # type: ignore[assignment]
            await live(services, deliveries=FOLDERS, person=say)
            self.clock.advance(60.0)  # long enough for the work folders to be tidied
            while await turn(services):
                pass


async def life(
    root: Path,
    remote: TrippedRemote,
    clock: FakeClock,
    kill_at: int | None,
    *,
    deliveries: int = 1,
    **settings: Any,
) -> None:
    """Start on a root, and live until so many folders are delivered, or until killed."""
    TRIPWIRE.arm(root, kill_at=kill_at)
    try:
        async with open_services(root, remote=remote, clock=clock, **settings) as services:
            services.ledger = TrippedLedger(services.ledger)  # type: ignore[assignment]
            await live(services, deliveries=deliveries)
    except* Killed:
        pass
    finally:
        TRIPWIRE.disarm()


async def say(services: Services) -> None:
    """What a person says, whenever the daemon is there to hear it: each word once.

    Nothing is sent before the first words are said, so that they are said in time in every life.
    """
    ledger, now = services.ledger, services.clock.now()
    jobs = {job.name: job for job in (await ledger.unfinished())[0]}
    over = {path.name.partition("--")[0] for path in services.folders.outbox.iterdir()}
    called_off, held, open_one = (jobs.get(name) for name in (b"g.jsonl", b"f.jsonl", b"e.jsonl"))
    paused = Pause.SUBMISSION in await ledger.pauses()
    if called_off and called_off.cancelled_at is None:
        why = JobCancelled(job=called_off.id, why=CancelWhy.ASKED, text="a person said so")
        await ledger.wish(why, at=now)
    elif held and not held.hold and not held.waived:
        await ledger.wish(JobHeld(job=held.id, reason="held", text="a person said so"), at=now)
    elif not {"e", "f", "g"} <= {name.decode()[0] for name in jobs} | over:
        if not paused:
            await ledger.record(Paused(what=Pause.SUBMISSION, by="a person"), at=now)
    elif paused:
        await ledger.record(Resumed(what=Pause.SUBMISSION), at=now)
    elif open_one and open_one.cancelled_at is None:
        # Not before it is begun: until then a batch that is cancelled has no answers at all.
        if any(shard.counts.total for shard in await ledger.shards_of(open_one.id)):
            why = JobCancelled(job=open_one.id, why=CancelWhy.ASKED, text="a person said so")
            await ledger.wish(why, at=now)
    elif held and held.hold:
        await ledger.wish(JobReleased(job=held.id), at=now)


def drop_all(root: Path) -> None:
    """Two good files of several shards, one of them twice; one to be repaired, one to be rejected.

    Three more for a person's word: cancelled while its batch is open, held for a while, cancelled
    before anything of it is sent.
    """
    drop(root, "a.jsonl", requests(7, prefix="a"))
    drop(root, "again.jsonl", requests(7, prefix="a"))
    drop(root, "b.jsonl", [request("b-1"), request("b-2", model="gpt-4.1")])
    drop(root, "c.jsonl", [b"\xef\xbb\xbf" + json.dumps(request("c-1")).encode() + b"\r"])
    drop(root, "e.jsonl", requests(2, prefix="e"))
    drop(root, "f.jsonl", requests(1, prefix="f"))
    drop(root, "g.jsonl", requests(4, prefix="g"))
    drop(root, "d.jsonl", [*requests(1, prefix="d"), b"{"])


def outbox(world: World) -> dict[str, bytes]:
    """Every file of the outbox, with what differs by nature made equal: ids and times."""
    ids = {batch: shard for shard, batch in world.remote.opened}
    files = [path for path in (world.root / "outbox").rglob("*") if path.is_file()]
    return {
        _plain(str(path.relative_to(world.root)), ids): _plain_file(path, ids) for path in files
    }


def _plain_file(path: Path, ids: dict[str, str | None]) -> bytes:
    if path.name == "receipt.json":
        receipt = json.loads(path.read_bytes())
        del receipt["times"], receipt["files"]
        if receipt["cancelled"]:
            del receipt["cancelled"]["at"]
        receipt["batches"] = [_timeless(batch) for batch in receipt["batches"]]
        if receipt["file"] in TWINS:
            # Which of the two pays depends on who is read first, and a crash may change that.
            del receipt["joined"], receipt["cost"], receipt["usage"]
        return _plain(json.dumps(receipt), ids).encode()
    if path.name == "RECEIPT.txt":
        return b""  # the same facts, and the times, as text
    return _plain(path.read_text(), ids).encode()


def _timeless(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name not in ("created", "completed")}


def _plain(text: str, ids: dict[str, str | None]) -> str:
    """Name batches by their shards, and shards without their job's id, which has the time in it."""
    for batch, shard in ids.items():
        text = text.replace(batch, f"batch({shard})")
    return re.sub(r"\b0[0-9a-z]{5}(?=\b|-\d)", "JOB", text)


def orphans(world: World) -> list[str]:
    """What must not be left behind: drafts in the outbox, work folders, files half written."""
    outbox = [path for path in (world.root / "outbox").iterdir() if path.name.startswith(".")]
    work = list((world.root / "var" / "work").iterdir())
    parts = list((world.root / "outbox").rglob(f"*{PART}"))
    return sorted(str(path.relative_to(world.root)) for path in [*outbox, *work, *parts])


def payers(world: World) -> int:
    """How many of the twins have a bill."""
    receipts = [json.loads(p.read_bytes()) for p in world.root.glob("outbox/a*--*/receipt.json")]
    return sum(receipt["joined"] is None for receipt in receipts)
