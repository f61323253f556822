"""Which task a command is about: found, whole, or said what is wrong with it."""

from __future__ import annotations

from difflib import get_close_matches

from batchd.core.errors import BatchdError
from batchd.core.names import printable
from batchd.core.tasks import Task
from batchd.spool.recipes import Broken, Recipes


class NoSuchTask(BatchdError):
    """There is no task file of that name."""


class BrokenTask(BatchdError):
    """Its file is to be mended first."""


def task_called(name: str, recipes: Recipes) -> Task:
    """Return a task. Raises `NoSuchTask` and `BrokenTask`."""
    found = recipes.get(name)
    if isinstance(found, Broken):
        raise BrokenTask("\n".join(str(problem) for problem in found.problems))
    if found is None:
        raise NoSuchTask(f"there is no task {printable(name)} in {recipes.folder}; {_meant(name, recipes)}")  # fmt: skip
    return found


def _meant(name: str, recipes: Recipes) -> str:
    names = recipes.names()
    if near := get_close_matches(name, names, n=1):
        return f"did you mean {near[0]}?"
    if not names:
        return "there is none: batchd task new NAME --from FILE makes one"
    return f"there are {', '.join(map(printable, names))}"
