"""The tasks there are, and which of them is meant: found, whole, or said what is wrong with it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from batchd.control.task_shapes import KnownTask, Recipe, TaskList
from batchd.core.errors import BatchdError
from batchd.core.names import printable
from batchd.core.tasks import Task

if TYPE_CHECKING:
    from batchd.core.records import BadTable
    from batchd.core.templates import BadRecord
    from batchd.spool.recipes import Recipes

SCHEMA = 1


class NoSuchTask(BatchdError):
    """There is no task file of that name."""


class BrokenTask(BatchdError):
    """Its file is to be mended first."""


def list_of(recipes: Recipes, *, source: str) -> TaskList:
    """Return the tasks there are, and what is wrong with any."""
    tasks = [_known(name, recipes) for name in recipes.names()]
    return TaskList(schema=SCHEMA, folder=str(recipes.folder), tasks=tasks, source=source)


def _known(name: str, recipes: Recipes) -> KnownTask:
    found = recipes.get(name)
    task = found if isinstance(found, Task) else None
    return KnownTask(
        name=name,
        description=task.description if task else "",
        endpoint=task.endpoint if task else None,
        model=task.model if task else None,
        records_per_request=task.records_per_request if task else None,
        problems=[] if task or found is None else [str(one) for one in found.problems],  # type: ignore[union-attr]  # it is Broken
    )


def recipe_of(name: str, recipes: Recipes) -> Recipe:
    """Return a task, or what is wrong with it. Raises `NoSuchTask`."""
    found, folder = recipes.get(name), str(recipes.folder)
    if found is None:
        raise NoSuchTask(f"there is no task {printable(name)} in {folder}; {_meant(name, recipes)}")
    if isinstance(found, Task):
        return Recipe(name=name, folder=folder, task=found)
    return Recipe(name=name, folder=folder, problems=tuple(map(str, found.problems)))


def whole(recipe: Recipe) -> Task:
    """Return the task itself. Raises `BrokenTask`."""
    if recipe.task is None:
        raise BrokenTask("\n".join(recipe.problems))
    return recipe.task


def in_words(bad: BadTable | BadRecord) -> str:
    """Say where a table can't be used, why, and what to do."""
    problem = bad.problem
    row = problem.row or problem.line
    return f"{f'row {row}: ' if row else ''}{problem.message}; {problem.remedy}"


def _meant(name: str, recipes: Recipes) -> str:
    names = recipes.names()
    if near := get_close_matches(name, names, n=1):
        return f"did you mean {near[0]}?"
    if not names:
        return "there is none: batchd task new NAME --from FILE makes one"
    return f"there are {', '.join(map(printable, names))}"
