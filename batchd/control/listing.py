"""Which jobs there are: one by the beginning of its id, or many by what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchd.control.ledger import Reader
from batchd.control.messages import Jobs, Listed
from batchd.control.places import NoSuchJob, job_meant
from batchd.control.why import Ambiguous
from batchd.core.model import JobState
from batchd.core.names import printable, shown
from batchd.core.receipt import ENDINGS, rfc3339
from batchd.core.subjects import Job

MOST = 1000  #: jobs in one answer
USUAL = 20  #: a screen of them

#: What may be asked for: where a job is, or how it ended.
STATES = (*map(str, JobState), "completed", "partial", *(e for e in ENDINGS if e != "rejected"))


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is to have."""

    state: str | None = None
    since: float = 0.0  #: claimed then or later, in seconds since the epoch
    owner: int | None = None
    most: int = USUAL
    sha256: str | None = None  #: only those whose file had this content, and then
    after: str = ""  #: only those after this job


def job_of(word: str, reader: Reader) -> Job:
    """Return the job whose id begins like this. Raises `NoSuchJob` and `Ambiguous`."""
    jobs = reader.jobs_by_prefix(job_meant(word))
    if not jobs:
        raise NoSuchJob(f"there is no job {printable(word)}; batchd jobs lists them")
    if len(jobs) > 1:
        raise Ambiguous(_several(word, jobs))
    return jobs[0]


def _several(word: str, jobs: Sequence[Job]) -> str:
    listed = ", ".join(job.id for job in jobs[:5]) + (", ..." if len(jobs) > 5 else "")
    return f"{word} is the beginning of several: {listed}; write one letter more"


def jobs_of(asked: Filter, reader: Reader, *, source: str) -> Jobs:
    """List them, the youngest first."""
    most = min(max(asked.most, 1), MOST)
    if asked.sha256 is not None:
        same = reader.later_jobs_with(asked.sha256, after=asked.after)
        return Jobs(jobs=tuple(map(listed, same[:most])), more=len(same) > most, source=source)
    found = reader.jobs_listed(
        state=asked.state, since=asked.since, owner=asked.owner, most=most + 1
    )
    return Jobs(jobs=tuple(map(listed, found[:most])), more=len(found) > most, source=source)


def listed(job: Job) -> Listed:
    """Show a job in a line."""
    return Listed(
        job=job.id,
        file=shown(job.name),
        task=job.task or None,
        state=str(job.state),
        outcome=job.outcome,
        hold=job.hold,
        cancelled=rfc3339(job.cancelled_at),
        owner=job.owner,
        bytes=job.size,
        requests=job.requests or None,
        claimed=rfc3339(job.claimed_at),
        delivered=rfc3339(job.delivered_at),
        folder=job.folder,
        cost=job.summary.get("cost"),
    )
