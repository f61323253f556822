"""Jobs that are done: known again, so that nothing of them is delivered or bought a second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batchd.core.model import JobState
from batchd.core.names import folder_name
from batchd.core.receipt import ENDINGS
from batchd.core.subjects import Job
from batchd.recovery.disk import Bill, Finished, Found, at_of


def finished_jobs(found: Found, old: Mapping[str, Job], *, now: float) -> dict[str, Job]:
    """Return every job whose dropped file has gone on: with its folder, or just about to."""
    jobs = {job: _as_it_was(was, now) for job, was in old.items() if _is_done(was, found)}
    for job, done in found.finished.items():
        if job not in jobs:
            at = done.delivered_at or now
            jobs[job] = _job(done.bill, JobState.DELIVERED, folder=done.folder, at=at)
    for job, bill in found.drafts.items():
        if job not in found.open and job not in found.finished:
            jobs[job] = _appearing(bill, now)
    for job in found.emptied - jobs.keys():
        jobs[job] = _job({"job": job}, JobState.DELIVERED, folder=None, at=now)
    return jobs


def _is_done(was: Job, found: Found) -> bool:
    """Its folder is in the outbox; or it has none any more, because it was delivered and tidied."""
    if was.id in found.drafts and was.id not in found.finished:
        return False
    return was.id in found.finished or (
        was.id not in found.open and (was.state is JobState.DELIVERED or was.id in found.emptied)
    )


def _as_it_was(was: Job, now: float) -> Job:
    if was.state is JobState.DELIVERED:
        return was
    return replace(was, state=JobState.DELIVERED, state_at=now, delivered_at=now)


def _appearing(bill: Bill, now: float) -> Job:
    """A folder killed between its two last renames appears at the next start."""
    name = str(bill.get("file") or "").encode()
    ending = ENDINGS.get(str(bill.get("outcome")), "")
    folder = folder_name(bill["job"], name, ending=ending)
    return _job(bill, JobState.PUBLISHING, folder=folder, at=now)


def _job(bill: Bill, state: JobState, *, folder: str | None, at: float) -> Job:
    requests = bill.get("requests") or {}
    return Job(
        id=bill["job"],
        state=state,
        name=str(bill.get("file") or "").encode(),
        task="",
        size=0,
        owner=0,
        round=int(bill.get("rounds") or 0),
        joined=None,
        claimed_at=at_of(bill, "claimed") or at,
        state_at=at,
        sha256=bill.get("sha256"),
        requests=int(requests.get("total") or 0),
        signature=None,
        repairs={},
        verbatim=False,
        reason=bill.get("reason"),
        problems=None,
        folder=folder,
        outcome=bill.get("outcome"),
        summary={},
        delivered_at=at if state is JobState.DELIVERED else None,
    )


def may_have_joined(
    sha256: str, claimed: float, finished: Mapping[str, Finished]
) -> Finished | None:
    """Return a folder with the answers to the same file, delivered after this one was claimed."""
    for done in finished.values():
        bill, at = done.bill, done.delivered_at
        if bill.get("sha256") == sha256 and bill.get("batches") and at and at > claimed:
            return done
    return None
