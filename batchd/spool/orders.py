"""Empty files in the inbox, or in a task's folder, that are no work but a word: JOB.cancel.

Whose word it is says the file's owner. One with content is no order: somebody's data may be called
anything. Nor is one with a second name: a link to another's empty file would speak for them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batchd.core.names import is_job_id

SUFFIX = ".cancel"


@dataclass(frozen=True, slots=True)
class Order:
    """Somebody wants a job cancelled."""

    path: Path
    job: str
    owner: int  #: the uid of the file


def job_to_cancel(name: str) -> str | None:
    """Return the job that a file of this name would cancel; None for any other name."""
    if not name.endswith(SUFFIX):
        return None  # before anything else: of ten thousand ignored files each comes by here
    job = name.removesuffix(SUFFIX)
    return job if is_job_id(job) else None


def names_of_orders(names: Iterable[str]) -> list[str]:
    """Return those of the names that may be orders. Quickly: most folders have none in thousands."""
    return [name for name in names if name.endswith(SUFFIX) and job_to_cancel(name)]


def orders_in(paths: Iterable[Path]) -> Iterator[Order]:
    """Look at these files; what has been taken back meanwhile is none."""
    for path in paths:
        job = job_to_cancel(path.name)
        try:
            status = path.lstat()
        except OSError:
            continue
        is_order = stat.S_ISREG(status.st_mode) and not status.st_size and status.st_nlink == 1
        if job is not None and is_order:
            yield Order(path, job, status.st_uid)
