"""The folders of the tasks in the inbox: made where they are missing, and what is taken from them.

A folder is looked into where there is a task of its name that is whole. The files of a broken task
stay, and so do those of a folder that is nobody's: `control/` says why, and the next look after it
is mended takes them. A link is never followed, for it could lead anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchd.core.names import is_task_name
from batchd.core.tasks import Task
from batchd.settings import Inbox
from batchd.spool.folders import make_drop_folder
from batchd.spool.inbox import Found, look
from batchd.spool.wanted import Names

if TYPE_CHECKING:  # for its templates it needs a library that few who ask have a use for
    from batchd.spool.recipes import Recipes


def is_real(folder: Path) -> bool:
    """Whether it is a folder itself, and not a link to one."""
    try:
        return stat.S_ISDIR(folder.lstat().st_mode)
    except OSError:
        return False


def folders_of_tasks(inbox: Path, recipes: Recipes) -> list[Path]:
    """Return the folders that there are for the tasks that there are."""
    return [inbox / name for name in recipes.names() if _is_of_task(inbox / name)]


def _is_of_task(folder: Path) -> bool:
    return is_task_name(folder.name) and is_real(folder)


def make_missing(inbox: Path, tasks: Sequence[str]) -> list[Path]:
    """Make a folder for each task that has none; return those that were made.

    Where something else has its name, that is somebody's, and stays.
    """
    if not inbox.is_dir():
        return []  # it may be a disk that is not mounted: what is made there would be hidden
    missing = [inbox / task for task in tasks if is_task_name(task)]
    missing = [folder for folder in missing if not os.path.lexists(folder)]
    for folder in missing:
        make_drop_folder(folder)
    return missing


@dataclass(frozen=True, slots=True)
class Aside:
    """Who is told what a look finds besides files to take."""

    names: Callable[[Path, Sequence[str]], object]  #: a folder, and those in it not to be taken
    unread: Callable[[Path, OSError], object]  #: a task's folder that can't be listed


def look_everywhere(inbox: Path, rules: Inbox, recipes: Recipes, aside: Aside) -> Iterator[Found]:
    """List the wanted files of the inbox, and of each task's folder in it."""
    yield from look(inbox, Names.of_inbox(rules), aside=_into(inbox, aside))
    for folder in folders_of_tasks(inbox, recipes):
        try:
            yield from _look_into(folder, rules, recipes, aside)
        except OSError as error:
            aside.unread(folder, error)  # one folder never stops the others


def _look_into(folder: Path, rules: Inbox, recipes: Recipes, aside: Aside) -> Iterator[Found]:
    task, tell = recipes.get(folder.name), _into(folder, aside)
    if isinstance(task, Task):
        yield from look(folder, Names.of_task(rules, task), aside=tell)
        return
    with os.scandir(folder) as entries:
        tell([entry.name for entry in entries])  # there may be orders among them


def _into(folder: Path, aside: Aside) -> Callable[[Sequence[str]], object]:
    return lambda names: aside.names(folder, names)
