"""A job keeps its task as it was when its file was planned: later rounds and the results go by that."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from batchd.core.errors import BatchdError
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Job
from batchd.core.tasks import Task, decode, encode
from batchd.spool.placing import place
from batchd.spool.work import Work

if TYPE_CHECKING:
    from batchd.spool.recipes import Recipes  # loads what renders templates


class TaskGone(BatchdError):
    """What a job kept of its task is not there any more; the job waits until it is put back."""

    reason = ReasonCode.KEPT_TASK_GONE


def recipe_of(task: Task) -> str:
    """Return what tells one task from another: jobs with the same ask the same."""
    return hashlib.sha256(encode(task)).hexdigest()


def keep(task: Task, job: str, work: Work) -> str:
    """Write down a job's task, and return its recipe. Twice writes the same."""
    place(work.task_file(job), encode(task))
    return recipe_of(task)


def kept_task(job: Job, work: Work, recipes: Recipes | None = None) -> Task:
    """Return the task that a planned job keeps. Raises `TaskGone` for another one, or none.

    What somebody removed is kept anew where the task is still the same by `recipes`.
    """
    try:
        return look(job, work)
    except TaskGone:
        task = same_task(job, recipes) if recipes else None
        if task is None:
            raise
        keep(task, job.id, work)
        return task


def same_task(job: Job, recipes: Recipes) -> Task | None:
    """Return a planned job's task where it is still the same as then; None where it is not."""
    task = recipes.get(job.task)
    is_same = isinstance(task, Task) and recipe_of(task) == job.recipe
    return task if is_same else None  # type: ignore[return-value]


def look(job: Job, work: Work) -> Task:
    """Read what a job keeps of its task, and write nothing. Raises `TaskGone`."""
    path = work.task_file(job.id)
    try:
        content = path.read_bytes()
        task = decode(content)
    except FileNotFoundError:
        raise TaskGone(f"{path} is gone; put back what batchd wrote there") from None
    except msgspec.MsgspecError as error:
        raise TaskGone(f"{path} is not what batchd wrote there ({error})") from None
    if job.recipe is not None and hashlib.sha256(content).hexdigest() != job.recipe:
        raise TaskGone(f"{path} was changed after the job had been planned; put it back")
    return task
