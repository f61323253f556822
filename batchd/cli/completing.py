"""Job ids for the shell's Tab: the youngest that begin as was typed, and none where nobody can say.

Everything is imported late: a command that isn't completed must not wait for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batchd.core.errors import BatchdError
from batchd.core.names import printable

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_MOST = 100  #: nobody chooses from more


def job_ids(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the ids of jobs; where a shell shows more than words, their files' names with them."""
    from click.shell_completion import CompletionItem

    try:
        found = _jobs(ctx)
    except (BatchdError, OSError):
        return []  # a Tab is no place for a complaint; the command itself will say it
    begun = (job for job in found if job["job"].startswith(typed))
    return [CompletionItem(job["job"], help=printable(job["file"])) for job in begun]


def jobs_or_files(ctx: click.Context, about: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the ids of jobs; where none begins so, the shell is to look for files."""
    from click.shell_completion import CompletionItem

    return job_ids(ctx, about, typed) or [CompletionItem(typed, type="file")]


def _jobs(ctx: click.Context) -> list[dict[str, str]]:
    from batchd.cli.asking import folders_of
    from batchd.cli.waiting import jobs_listed
    from batchd.configuration import load
    from batchd.control.listing import Filter

    params = ctx.params
    loaded = load(params.get("config"), params.get("overrides") or (), os.environ, Path.cwd())
    return jobs_listed(Filter(most=_MOST), folders_of(loaded))
