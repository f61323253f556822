"""The README of a drop folder says what its task takes, and what comes back."""

from __future__ import annotations

import pytest

from batchd.cli.task_readmes import readme_of
from batchd.configuration.shipped import shipped
from batchd.core.tasks import Task, TaskInput, TaskOutput
from batchd.settings import Defaults
from batchd.spool.recipes import Recipes

SCHEMA = {"type": "object", "properties": {"mood": {}, "reason": {}}}


def task(**given) -> Task:
    said = {"name": "sentiment", "model": "m", "prompt": "{{ review }} of {{ product }}, {{ row }}"}
    return Task(**said | given)


def test_it_names_the_columns_that_go_in_and_those_that_come_out():
    text = readme_of("sentiment", task(output=TaskOutput(schema=SCHEMA), description="The mood"))

    assert text.startswith("Files for the task sentiment: The mood\n")
    assert "Its prompt uses these columns: product, review." in text
    assert "Beside each row you get: mood, reason, batchd_error." in text


def test_what_a_loop_calls_its_own_is_called_no_column():
    looping = "{% for one in records %}{{ one.text }}{% endfor %}"

    text = readme_of("x", task(prompt=looping, records_per_request=2))
    assert "Its prompt uses these columns: text." in text


def test_it_names_the_column_that_identifies_a_row():
    assert "The column job_id identifies a row" in readme_of(
        "x", task(input=TaskInput(id="job_id"))
    )


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({}, "* Tables: CSV, TSV, JSON, "),
        ({"format": "csv"}, "* CSV files, whatever they are called"),
        ({"format": "text", "record": "file"}, "* Plain text, each file one record"),
    ],
)
def test_it_says_which_files_are_taken(given, kinds):
    assert kinds in readme_of("x", task(input=TaskInput(**given)))


def test_of_a_broken_task_it_says_what_holds_of_all():
    text = readme_of("sentiment", None)

    assert text.startswith("Files for the task sentiment\n")
    assert "batchd why FILE" in text


def test_each_ready_task_has_one_that_fits_a_screen():
    ready = Recipes(shipped("config", "tasks"), Defaults())
    for name in ready.names():
        found = ready.get(name)
        assert isinstance(found, Task), str(found)
        lines = readme_of(name, found).splitlines()
        assert 5 <= len(lines) <= 16
        assert max(map(len, lines)) <= 100
