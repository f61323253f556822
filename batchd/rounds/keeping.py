"""A job keeps its task as it was when its file was planned: later rounds and the results go by that."""

from __future__ import annotations

import hashlib

import msgspec

from batchd.core.errors import BatchdError
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Job
from batchd.core.tasks import Task, decode, encode
from batchd.spool.placing import place
from batchd.spool.work import Work


class TaskGone(BatchdError):
    """What a job kept of its task is not there any more; the job waits until it is put back."""

    reason = ReasonCode.INPUT_CHANGED


def recipe_of(task: Task) -> str:
    """Return what tells one task from another: jobs with the same ask the same."""
    return hashlib.sha256(encode(task)).hexdigest()


def keep(task: Task, job: str, work: Work) -> str:
    """Write down a job's task, and return its recipe. Twice writes the same."""
    place(work.task_file(job), encode(task))
    return recipe_of(task)


def kept_task(job: Job, work: Work) -> Task:
    """Return the task that a planned job keeps. Raises `TaskGone` for another one, or none."""
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
