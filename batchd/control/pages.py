"""STATUS.txt and status.json in each job's folder: where a file is, for people who look there.

The last word is that it is delivered: the folder stays for a while, and who looks into it then must
not read that it is at the provider. Written by the daemon beside its work, and never read by it. They appear whole, but without fsync:
after a power cut the ledger is the truth, and they are written anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from batchd.control.jobs import Room, reason_of_job
from batchd.control.ledger import Part
from batchd.control.portions import portions, room_now
from batchd.core.model import JobState, ShardState
from batchd.core.names import printable, shown
from batchd.core.reasons import Reason
from batchd.core.receipt import rfc3339
from batchd.core.subjects import Job, Shard
from batchd.core.words import duration
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.folders import Folders
from batchd.spool.placing import PART

SECONDS_BETWEEN = 2.0  #: two looks at what has changed; people read slower than that
REST = 20  #: a thousand open jobs have two thousand files: 5 % of the time is enough for them
AT_LEAST_EVERY = 600.0  #: a page that says how old a batch is must not be hours old itself (R34)
_SCHEMA = 1
_LAST_WORD = b'"state": "delivered"'  #: in status.json


async def keep_pages(services: Services) -> None:
    """Write the pages of whatever has changed, until cancelled."""
    pages, changes, at = Pages(services.folders), -1, 0.0
    while True:
        now = services.clock.monotonic()
        if services.ledger.changes != changes or now - at >= AT_LEAST_EVERY:
            changes, at = services.ledger.changes, now
            # A full disk or a locked ledger is told elsewhere, and louder; a page can wait.
            with contextlib.suppress(OSError, sqlite3.Error):
                await _write(pages, services)
        took = services.clock.monotonic() - now
        await services.clock.wait(anyio.Event(), rest_after(took))


def rest_after(took: float) -> float:
    """Seconds until the next look, after one that took so long."""
    return min(max(SECONDS_BETWEEN, REST * took), AT_LEAST_EVERY)


async def _write(pages: Pages, services: Services) -> None:
    # By the daemon's own connection. A second one in this process would be the end of the first
    # one's locks: POSIX drops all of a process's locks on a file when it closes any descriptor of
    # it, and then another program's last close deletes the -wal under us.
    room = await room_now(services)
    open_: set[str] = set()
    async for jobs, parts in portions(services):
        open_.update(job.id for job in jobs)
        await in_thread(pages.write, jobs, parts, room=room, now=services.clock.now())
    for job_id in await in_thread(pages.unended, open_):
        job = await services.ledger.find_job(job_id)
        await in_thread(pages.end, job_id, job, room=room, now=services.clock.now())


class Pages:
    """The pages of one root."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._unended: set[str] | None = None  #: jobs whose page says that they are on their way

    def write(self, jobs: Sequence[Job], live: Sequence[Part], *, room: Room, now: float) -> None:
        """Write a page for each of these jobs, whose live parts these are."""
        parts: Mapping[str, list[Part]] = defaultdict(list)
        for part in live:
            parts[part.shard.job].append(part)
        for job in jobs:
            reason = reason_of_job(job, parts[job.id], room=room, now=now)
            self._write(job, reason, parts[job.id], now)

    def unended(self, open_: set[str]) -> list[str]:
        """Return the jobs that are on their way by their page, and not by the ledger."""
        if self._unended is None:  # an earlier daemon's last words
            self._unended = set(self._found_unended())
        left = self._unended - open_
        self._unended |= open_
        return sorted(left)

    def _found_unended(self) -> Iterator[str]:
        for page in self._folders.work.glob("*/status.json"):
            with contextlib.suppress(OSError):
                if _LAST_WORD not in page.read_bytes():
                    yield page.parent.name

    def end(self, job_id: str, job: Job | None, *, room: Room, now: float) -> None:
        """Write the last page of a job that is delivered; one that the ledger has lost has none."""
        assert self._unended is not None
        if job is not None and job.state is JobState.DELIVERED:
            self._write(job, reason_of_job(job, (), room=room, now=now), (), now)
        if job is None or job.state is JobState.DELIVERED:
            self._unended.discard(job_id)

    def _write(self, job: Job, reason: Reason, parts: Sequence[Part], now: float) -> None:
        folder = self._folders.work / job.id
        page = page_of(job, reason, parts, now)
        _put(folder / "STATUS.txt", as_text(page).encode())
        _put(folder / "status.json", msgspec.json.format(msgspec.json.encode(page)) + b"\n")


def page_of(job: Job, reason: Reason, parts: Sequence[Part], now: float) -> dict[str, Any]:
    """Return what a page says."""
    return {
        "schema": _SCHEMA,
        "job": job.id,
        "file": shown(job.name),
        "state": str(job.state),
        "reason": str(reason.code),
        "text": printable(reason.sentence),
        "since": rfc3339(job.state_at),
        "age_seconds": round(max(now - job.claimed_at, 0.0), 1),
        "claimed": rfc3339(job.claimed_at),
        "written": rfc3339(now),
        "requests": job.requests or None,
        "round": job.round or None,
        "completed": sum(_completed(part.shard) for part in parts),
        "cancel": None if job.state is JobState.DELIVERED else f"batchd cancel {job.id}",
        "shards": [_shard(part) for part in parts],
    }


def _completed(shard: Shard) -> int:
    """The provider counts requests; of a table a request may carry several rows."""
    return shard.counts.completed * len(shard.rows) // max(shard.requests, 1)


def _shard(part: Part) -> dict[str, Any]:
    shard = part.shard
    return {
        "shard": shard.id,
        "state": str(shard.state),
        "batch": shard.batch,
        "status": str(shard.status) if shard.status else None,
        "completed": shard.counts.completed,
        "requests": shard.requests,
        "next_look": rfc3339(shard.due_at),
    }


def as_text(page: Mapping[str, Any]) -> str:
    """Render STATUS.txt."""
    lines = [
        f"file      {page['file']}",
        f"job       {page['job']}, taken {page['claimed']}, {duration(page['age_seconds'])} ago",
        f"state     {page['state']} since {page['since']}",
        f"reason    {page['reason']}: {page['text']}",
        *(_shard_in_words(shard) for shard in page["shards"]),
        "",
        *(_what_comes(page) if page["cancel"] else _what_came(page)),
    ]
    return "\n".join(lines) + "\n"


def _what_comes(page: Mapping[str, Any]) -> Iterator[str]:
    yield f"As of {page['written']}. When it is done, a folder whose name ends in --{page['job']}"
    yield f"appears in outbox/. More: batchd why {page['job']}"
    yield f"To deliver what there is, and no more: {page['cancel']}, or an empty file"
    yield f"inbox/{page['job']}.cancel"


def _what_came(page: Mapping[str, Any]) -> Iterator[str]:
    yield f"As of {page['written']}. It is yours by now, and may have been moved. More: batchd show"
    yield f"{page['job']}. What lies here goes by itself after a while (jobs.keep_days)."


def _shard_in_words(shard: Mapping[str, Any]) -> str:
    if shard["state"] != ShardState.OPEN:
        return f"shard     {shard['shard']}  {shard['state']}  {shard['requests']:,} requests"
    done = f"{shard['completed']:,} of {shard['requests']:,}"
    looked = f"next look {shard['next_look']}"
    return f"batch     {shard['batch']}  {shard['status'] or 'new'}  {done}  {looked}"


def _put(path: Path, content: bytes) -> None:
    """Write a page that appears whole. A folder that is gone was tidied meanwhile."""
    part = path.with_name(path.name + PART)
    with contextlib.suppress(FileNotFoundError):
        part.write_bytes(content)
        part.replace(path)
