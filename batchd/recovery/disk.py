"""What the folders tell: open jobs, finished ones, and those that were just about to appear."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from batchd.core.names import is_job_id
from batchd.spool.folders import Folders
from batchd.spool.work import Work

Bill = Mapping[str, Any]  #: a receipt.json


@dataclass(frozen=True, slots=True)
class Finished:
    """A folder of the outbox."""

    folder: str
    bill: Bill

    @property
    def delivered_at(self) -> float | None:
        """When it appeared, in seconds since the epoch."""
        return at_of(self.bill, "delivered")


@dataclass(frozen=True, slots=True)
class Found:
    """The folders of a root, by job."""

    open: Mapping[str, Path]  #: the dropped file is in its work folder
    emptied: frozenset[str]  #: it has a work folder, and its file has gone on
    finished: Mapping[str, Finished]
    drafts: Mapping[str, Bill]  #: complete, with the dropped file in it, under a dot-name


def look(folders: Folders) -> Found:
    """Look at the folders. Nothing is changed but what an interrupted claim has left half done."""
    work = Work(folders.work)
    drafts = dict(_drafts(folders.outbox))
    if folders.work.is_dir():
        _undo_claims(work, drafts, folders.inbox)
    inputs = {job: work.input(job) for job in work.jobs()} if folders.work.is_dir() else {}
    return Found(
        open={job: path for job, path in inputs.items() if path},
        emptied=frozenset(job for job, path in inputs.items() if not path),
        finished={done.bill["job"]: done for done in _finished(folders.outbox)},
        drafts=drafts,
    )


def at_of(bill: Bill, name: str) -> float | None:
    """Return a time of a receipt, in seconds since the epoch."""
    text = (bill.get("times") or {}).get(name)
    return datetime.fromisoformat(text).timestamp() if text else None


def claimed_at(dropped: Path) -> float:
    """When a file was claimed: the rename is the last thing that happened to its folder."""
    return dropped.parent.stat().st_mtime


def _undo_claims(work: Work, drafts: Collection[str], inbox: Path) -> None:
    for job in work.jobs():
        work.finish_claim(job)
        # A done file without its file: it was taken first, or it is the last to go into a draft.
        if work.input(job) is None and work.leaving(job) and job not in drafts:
            work.give_back_done(job, inbox)
            work.remove_empty(job)


def _finished(outbox: Path) -> Iterator[Finished]:
    for folder in sorted(outbox.iterdir()) if outbox.is_dir() else ():
        bill = None if folder.name.startswith(".") else _bill(folder)
        if bill is not None:
            yield Finished(folder.name, bill)


def _drafts(outbox: Path) -> Iterator[tuple[str, Bill]]:
    for folder in outbox.glob(".*") if outbox.is_dir() else ():
        bill = _bill(folder)
        if bill is not None and bill["job"] == folder.name[1:] and (folder / "input").is_dir():
            yield bill["job"], bill


def _bill(folder: Path) -> Bill | None:
    """Return a folder's receipt; None where it is none of ours, or not readable."""
    try:
        bill = msgspec.json.decode((folder / "receipt.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    ours = isinstance(bill, dict) and isinstance(bill.get("job"), str) and is_job_id(bill["job"])
    return bill if ours else None
