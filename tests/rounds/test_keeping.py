"""A job keeps its task as it was, and notices when that is not what it kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchd.core.reasons import ReasonCode
from batchd.rounds.keeping import TaskGone, keep, kept_task, look, recipe_of, same_task
from batchd.spool.work import Work
from tests.houses import recipes, write_task
from tests.rounds.rounds import GROUPED, JOB, TASK, a_task, planned


def test_the_task_comes_back_as_it_was_kept(tmp_path: Path):
    job = planned(work := Work(tmp_path))
    assert kept_task(job, work) == GROUPED
    assert job.recipe == recipe_of(GROUPED)


def test_the_same_task_has_the_same_recipe_and_another_has_another(tmp_path: Path):
    assert recipe_of(a_task()) == recipe_of(TASK)
    assert recipe_of(a_task(prompt="{{ text }}!")) != recipe_of(TASK)
    planned(work := Work(tmp_path))
    assert keep(GROUPED, JOB, work) == keep(GROUPED, JOB, work) == recipe_of(GROUPED)


@pytest.mark.parametrize("change", ["gone", "other", "damaged"])
def test_a_task_that_is_not_what_was_kept_is_never_used(tmp_path: Path, change: str):
    job = planned(work := Work(tmp_path))
    path = work.task_file(JOB)
    if change == "gone":
        path.unlink()
    elif change == "other":
        keep(TASK, JOB, work)
    else:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TaskGone, match="put") as error:
        kept_task(job, work)
    assert error.value.reason is ReasonCode.KEPT_TASK_GONE


def test_a_job_that_was_never_planned_takes_what_lies_there(tmp_path: Path):
    job = replace(planned(work := Work(tmp_path)), recipe=None)
    assert kept_task(job, work) == GROUPED


def test_a_task_that_is_the_same_still_is_kept_anew(tmp_path: Path):
    write_task(tmp_path, "judge")
    known = recipes(tmp_path)
    job = planned(work := Work(tmp_path), known.get("judge"))  # type: ignore[arg-type]
    work.task_file(JOB).unlink()
    assert recipe_of(kept_task(job, work, known)) == job.recipe
    assert recipe_of(look(job, work)) == job.recipe


def test_a_task_that_was_edited_is_not_what_the_job_kept(tmp_path: Path):
    write_task(tmp_path, "judge")
    job = planned(work := Work(tmp_path), recipes(tmp_path).get("judge"))  # type: ignore[arg-type]
    work.task_file(JOB).unlink()
    write_task(tmp_path, "judge", 'model = "m"\nprompt = "Now: {{ text }}"\n')
    known = recipes(tmp_path)
    assert same_task(job, known) is None
    with pytest.raises(TaskGone):
        kept_task(job, work, known)
