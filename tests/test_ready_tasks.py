"""The tasks that come with the program: without a flaw, bounded, priced, and explained."""

from __future__ import annotations

import json

import pytest

from batchd.configuration.shipped import shipped
from batchd.core.tasks import CHAT, EMBEDDINGS, ENDPOINTS, MODERATIONS, RESPONSES, Task
from batchd.core.usage import Usage
from batchd.meters.prices import Prices
from batchd.sandbox.strict import refusal_of
from batchd.settings import Defaults
from batchd.spool.recipes import Recipes
from tests.cli.places import shell_in

FOLDER = shipped("config", "tasks")
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
LIMITS = {CHAT: "max_completion_tokens", RESPONSES: "max_output_tokens"}


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return Recipes(FOLDER, Defaults())


def task_of(recipes: Recipes, name: str) -> Task:
    task = recipes.get(name)
    assert isinstance(task, Task), task
    return task


def test_there_are_those_and_no_others(recipes):
    assert sorted(recipes.names()) == NAMES
    assert len(NAMES) == 12


def test_every_endpoint_that_a_task_may_ask_has_one(recipes):
    assert {task_of(recipes, name).endpoint for name in NAMES} == set(ENDPOINTS)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_no_flaw_and_says_what_it_does(recipes, name):
    task = task_of(recipes, name)
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")

    assert task.name == name
    assert task.description
    for word in ("# Takes: ", "# Adds:  ", f"# Try it: cp config/tasks/samples/{name}."):
        assert word in text


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_has_a_limit_and_its_model_a_price(recipes, name):
    task = task_of(recipes, name)
    if task.endpoint in LIMITS:
        assert task.parameters[LIMITS[task.endpoint]] <= 8000
    if task.endpoint != MODERATIONS:  # free, and in no list
        charge = Prices().charge(task.model, Usage(input_tokens=1000))
        assert charge.batch is not None
        assert charge.batch < 0.001  # dollars for a thousand tokens: the cheap ones


@pytest.mark.parametrize("name", NAMES)
def test_its_schema_is_one_that_a_second_reading_of_strict_mode_takes(recipes, name):
    schema = task_of(recipes, name).output.schema
    if task_of(recipes, name).endpoint in (EMBEDDINGS, MODERATIONS):
        assert schema is None
    elif schema is not None:
        assert refusal_of(schema) is None


@pytest.mark.parametrize("name", NAMES)
def test_every_list_in_an_answer_is_bounded(recipes, name):
    """A model that does not stop listing runs into the limit, and its JSON has no end."""
    for path, schema in lists_in(task_of(recipes, name).output.schema or {}):
        assert schema.get("maxItems"), path


def lists_in(schema, path=""):
    if schema.get("type") == "array":
        yield path, schema
        yield from lists_in(schema["items"], f"{path}[]")
    for name, part in schema.get("properties", {}).items():
        yield from lists_in(part, f"{path}.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_its_sample_is_accepted_without_a_word_of_warning(name, tmp_path, monkeypatch, capsys):
    run = shell_in(tmp_path, monkeypatch, capsys, root=tmp_path)
    (tmp_path / "empty.toml").touch()
    (tmp_path / "tasks").symlink_to(FOLDER)
    (sample,) = (FOLDER / "samples").glob(f"{name}.*")
    said = run("task", "check", name, str(sample), "--config", "empty.toml", "--json")

    (found,) = json.loads(said.out)["files"]
    assert said.code == 0
    assert (found["fate"], found["warnings"]) == ("accepted", [])
