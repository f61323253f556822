"""What is told: a job that has ended, or something that a person must look at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from batchd.core.names import printable, shown
from batchd.core.receipt import rfc3339
from batchd.core.subjects import Job
from batchd.spool.folders import Folders


class Kind(StrEnum):
    """Which of the three settings it is for."""

    COMPLETE = "complete"  #: a job has its folder
    REJECT = "reject"  #: a file was rejected: its sender must mend it
    PROBLEM = "problem"  #: somebody must look


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice, whoever is told and however."""

    id: str  #: the same whenever it is told again: whoever is told may tell it apart by that
    kind: Kind
    job: str = ""
    folder: str = ""  #: the finished one, whole path
    outcome: str = ""
    file: bytes = b""
    reason: str = ""
    text: str = ""
    at: float  #: seconds since the epoch: of what is told, not of the telling
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """For a command. No value has a zero byte: names of files can't."""
        return {
            "BATCHD_NOTICE": str(self.kind),
            "BATCHD_JOB": self.job,
            "BATCHD_DIR": self.folder,
            "BATCHD_OUTCOME": self.outcome,
            "BATCHD_FILE": os.fsdecode(self.file),
            "BATCHD_REASON": self.reason,
            "BATCHD_TEXT": self.text,
        }

    @property
    def body(self) -> bytes:
        """For an address, in the form that Standard Webhooks recommends."""
        data = {
            "job": self.job,
            "folder": self.folder,
            "outcome": self.outcome,
            "file": shown(self.file),
            "reason": self.reason,
            "text": self.text,
            **self.facts,
        }
        told = {name: value for name, value in data.items() if value not in ("", b"")}
        type_ = f"batchd.{'problem' if self.kind is Kind.PROBLEM else f'job.{self.kind}'}"
        return msgspec.json.encode({"type": type_, "timestamp": rfc3339(self.at), "data": told})


def of_job(job: Job, *, folders: Folders, root: str) -> Notice:
    """Tell of a job that was delivered."""
    kind = Kind.REJECT if job.outcome == "rejected" else Kind.COMPLETE
    why = job.reason if kind is Kind.REJECT else (job.cancel_why or "")
    return Notice(
        id=f"msg_{root}_{job.id}_{kind}",
        kind=kind,
        job=job.id,
        folder=_path(folders, job.folder or ""),
        outcome=job.outcome or "",
        file=job.name,
        reason=str(why or ""),
        text=printable(job.cancel_text or ""),
        at=job.delivered_at or job.state_at,
        facts=job.summary,
    )


def _path(folders: Folders, name: str) -> str:
    return str(folders.outbox / name)


def of_problem(code: str, text: str, *, jobs: Sequence[str], at: float, root: str) -> Notice:
    """Tell of what a person must look at; `jobs` are those it is about, if any."""
    more = f" (and {len(jobs) - 1} more jobs: {', '.join(jobs[1:6])})" if len(jobs) > 1 else ""
    return Notice(
        id=f"msg_{root}_{code}_{int(at * 1000)}",
        kind=Kind.PROBLEM,
        job=jobs[0] if jobs else "",
        outcome="problem",
        reason=code,
        text=printable(text).replace("\0", "") + more,
        at=at,
        facts={"jobs": list(jobs[:100])} if jobs else {},
    )
