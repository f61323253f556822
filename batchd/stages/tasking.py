"""Which claimed files may be planned: one whose task is broken, or gone, waits for its operator.

It is never rejected for a mistake that is not its sender's, and needs nobody to go on: the task is
looked at again with every look, which costs a stat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from batchd.core.events import JobRejected
from batchd.core.model import JobState
from batchd.core.names import shown
from batchd.core.problems import Problem, Problems
from batchd.core.reasons import ReasonCode
from batchd.core.rendering import problems_as_dict
from batchd.core.subjects import Job
from batchd.core.tasks import Task
from batchd.rounds.keeping import kept_task
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.lacking import kind_read, lack_in_words, library_missing
from batchd.spool.recipes import Broken

log = structlog.get_logger()


async def usable(services: Services, *, most: int) -> list[Job]:
    """Return claimed jobs that can be planned now, oldest first: so many, or a few more.

    Those that wait for their task are asked about at each look, and keep nobody else out.
    """
    most += len(services.waiting_for_task)
    while True:
        jobs = await services.ledger.jobs_in(JobState.CLAIMED, most=most)
        waiting = await _waiting(jobs, services)
        if len(jobs) < most or len(waiting) < len(jobs):
            break
        most *= 2
    await _say(jobs, waiting, services)
    services.waiting_for_task = waiting
    return [job for job in jobs if job.id not in waiting]


async def _waiting(jobs: Sequence[Job], services: Services) -> dict[str, str]:
    """Return which of these jobs wait, and what is wrong with their tasks."""
    asked = [job for job in jobs if job.task and job.recipe is None]
    return await in_thread(_trouble, asked, services) if asked else {}


async def _say(jobs: Sequence[Job], waiting: Mapping[str, str], services: Services) -> None:
    """Say it once of each. One that nobody wants any more does not wait."""
    for job in jobs:
        text = waiting.get(job.id)
        if text is None:
            continue
        if job.cancelled_at is not None:
            await _give_back(job, text, services)
        elif services.waiting_for_task.get(job.id) != text:
            reason = ReasonCode.WAITING_FOR_TASK
            log.warning("job.waits", job=job.id, file=shown(job.name), reason=reason, text=text)


def _trouble(jobs: Sequence[Job], services: Services) -> dict[str, str]:
    """Return why those of these jobs wait that can't be read now."""
    tasks = {task: services.recipes.get(task) for task in sorted({job.task for job in jobs})}
    found = {job.id: _trouble_with(job, tasks[job.task]) for job in jobs}
    return {job: text for job, text in found.items() if text is not None}


def _trouble_with(job: Job, task: Task | Broken | None) -> str | None:
    if not isinstance(task, Task):
        return f"there is no task {job.task} any more" if task is None else str(task)
    kind = kind_read(shown(job.name), task)
    library = library_missing(kind)
    return None if library is None else lack_in_words(kind, library)


def task_for(job: Job, services: Services) -> Task | None:
    """Return what a job's file is to be read by: what it was planned by once, or the task as it is.

    None where that can't be used now. Raises `TaskGone` where a kept one is not there any more.
    """
    if job.recipe is not None:
        return kept_task(job, services.work, services.recipes)
    found = services.recipes.get(job.task)
    return found if isinstance(found, Task) else None


async def _give_back(job: Job, text: str, services: Services) -> None:
    """Its file goes back as it came: nobody knows how many records there were."""
    problem = Problem(
        "cancelled",
        f"it was cancelled before it could be read: {text}",
        "Once the task is mended, drop the file again.",
    )
    rejected = JobRejected(
        job=job.id,
        reason=problem.code,
        problems=problems_as_dict(Problems([problem], total=1)),
        sha256=job.sha256 or "",
        requests=0,
    )
    await services.ledger.record(rejected, at=services.clock.now())
    log.warning("job.rejected", job=job.id, reason=problem.code, line=None, row=None, problems=1)
    services.bells["deliver"].ring()
