"""Which task a command is about: the daemon's, where one runs; else the one in the asker's files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from batchd.cli.asking import folders_of, recipes_of
from batchd.cli.local import from_here, say_so
from batchd.control.client import Refused, ask
from batchd.control.task_shapes import Recipe, TaskList
from batchd.control.tasks import NoSuchTask, recipe_of

if TYPE_CHECKING:
    from batchd.configuration import Loaded


def task_called(name: str, loaded: Loaded) -> Recipe:
    """Return a task, or what is wrong with it. Raises `NoSuchTask`, and `Refused` for the same."""
    own = recipes_of(loaded)
    asked = partial(ask, folders_of(loaded), "GET", "tasks", name, kind=Recipe)
    try:
        found, note = from_here(asked, partial(recipe_of, name, own))
    except Refused as nobody:
        if name not in own.names():
            raise
        # Only the daemon's count: what is dropped goes by them, and by none of anybody else's.
        here = f"the one in {own.folder} is not where the daemon looks"
        raise NoSuchTask(f"{nobody}; {here}") from nobody
    say_so(note)
    recipe: Recipe = found
    return recipe


def names_known(loaded: Loaded) -> tuple[str, ...]:
    """Return the names of the tasks there are."""
    asked = partial(ask, folders_of(loaded), "GET", "tasks", kind=TaskList)
    found, _ = from_here(asked, lambda: None)
    return recipes_of(loaded).names() if found is None else tuple(one.name for one in found.tasks)
