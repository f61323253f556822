"""Each ready task with its sample, through the real daemon: every row is answered as documented."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from batchd.configuration.shipped import shipped
from tests.acceptance.processes import processes_in
from tests.acceptance.tables import (
    SAMPLES,
    answer_of,
    asked_ids,
    delivered_to,
    drop_into,
    misfits,
    requests_of,
    result_table,
    rows_of,
    same_cell,
    with_ready_tasks,
    words_of,
)
from tests.houses import read_lines, read_receipt

pytestmark = pytest.mark.processes

README = Path(__file__).parents[2] / "README.md"
TASKS = sorted(path.stem for path in shipped("config", "tasks").glob("*.toml"))
WITH_TABLE = [name for name in TASKS if name != "embed"]  #: plain text has no table


def sample_of(task: str) -> Path:
    (path,) = SAMPLES.glob(f"{task}.*")
    return path


def file_of(task: str) -> dict[str, Any]:
    path = shipped("config", "tasks", f"{task}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def documented_columns(task: str) -> list[str]:
    """The last cell of the task's row in the README."""
    text = README.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| \[`{task}`\]\(config/tasks/{task}\.toml\) .*$", text, re.MULTILINE)
    return re.findall(r"`(\w+)`", row.rsplit("|", 2)[1])


class Outcome(NamedTuple):
    folder: Path
    rounds: list[list[dict[str, Any]]]

    def requests(self) -> list[dict[str, Any]]:
        (only,) = self.rounds
        return only


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All samples, dropped at once."""
    folder = tmp_path_factory.mktemp("ready")
    root = folder / "root"
    with_ready_tasks(folder)
    with processes_in(folder) as processes:
        sandbox = processes.sandbox()
        for task in TASKS:
            sample = sample_of(task)
            drop_into(root, task, sample.name, sample.read_bytes())
        processes.daemon(root, sandbox)
        found = {task: delivered_to(processes, root, task) for task in TASKS}
        yield {task: Outcome(path, requests_of(root, path)) for task, path in found.items()}


def test_the_readme_lists_the_ready_tasks_with_their_samples():
    rows = re.findall(
        r"^\| \[`(\w+)`\]\((\S+)\) \|.*\[`\S+`\]\((\S+)\) \|",
        README.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert sorted(task for task, _, _ in rows) == TASKS
    for task, path, sample in rows:
        assert path == f"config/tasks/{task}.toml"
        assert sample == f"config/tasks/samples/{sample_of(task).name}"


@pytest.mark.parametrize("task", TASKS)
def test_every_row_of_the_sample_is_answered(outcomes, task):
    folder = outcomes[task].folder
    sample = sample_of(task)
    results = read_lines(folder / "results.jsonl")
    receipt = read_receipt(folder)

    assert [result["ok"] for result in results] == [True] * len(results)
    assert len(results) == len(rows_of(sample.read_bytes(), sample.name))
    assert receipt["outcome"] == "completed"
    assert receipt["task"] == task
    assert receipt["requests"]["succeeded"] == len(results)
    assert not (folder / "errors.jsonl").exists()
    assert (folder / "input" / sample.name).read_bytes() == sample.read_bytes()


@pytest.mark.parametrize("task", WITH_TABLE)
def test_the_table_comes_back_with_the_documented_columns_behind_its_own(outcomes, task):
    sample = sample_of(task)
    table = result_table(outcomes[task].folder, sample.name)
    assert table
    before = rows_of(sample.read_bytes(), sample.name)
    after = rows_of(table.read_bytes(), table.name)

    new = [*documented_columns(task), "batchd_error"]
    assert [list(row) for row in after] == [[*row, *new] for row in before]
    assert [{name: row[name] for name in before[0] if name in row} for row in after] == [
        {name: row[name] for name in before[0] if name in row} for row in before
    ]
    assert {row["batchd_error"] for row in after} <= {"", None}


@pytest.mark.parametrize(
    "task", [task for task in TASKS if "schema" in file_of(task).get("output", {})]
)
def test_every_answer_fits_the_schema_and_stands_in_its_columns(outcomes, task):
    folder = outcomes[task].folder
    given = file_of(task)["output"]["schema"]
    schema = schema_file(given) if isinstance(given, str) else given
    outputs = [result["output"] for result in read_lines(folder / "results.jsonl")]

    assert misfits(schema, iter(outputs)) == []
    assert list(schema["properties"]) == documented_columns(task)
    table = result_table(folder, sample_of(task).name)
    assert table
    rows = rows_of(table.read_bytes(), table.name)
    for row, output in zip(rows, outputs, strict=True):
        assert all(same_cell(row[name], value) for name, value in output.items()), (row, output)


def schema_file(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(shipped("config", "tasks", name).read_bytes())
    return schema


@pytest.mark.parametrize("task", [task for task in TASKS if task != "categorize_transactions"])
def test_every_answer_is_the_one_to_its_own_row(outcomes, task):
    """The request carries the row's own words, and its answer is what the sandbox says to it."""
    sample = sample_of(task)
    requests = outcomes[task].requests()
    results = read_lines(outcomes[task].folder / "results.jsonl")
    rows = rows_of(sample.read_bytes(), sample.name)

    for row, request, result in zip(rows, requests, results, strict=True):
        told = row.get("text") or row.get("question") or row.get("image_url") or row["description"]
        assert told in words_of(request)
        assert result["output"] == answer_of(request)
        assert result["usage"] is not None or task == "moderate"


def test_ten_transactions_share_a_request_and_each_has_its_own_answer(outcomes):
    outcome = outcomes["categorize_transactions"]
    (request,) = outcome.requests()
    results = read_lines(outcome.folder / "results.jsonl")

    assert asked_ids(request) == [str(row) for row in range(1, 9)]
    assert [{"id": r["custom_id"], "answer": r["output"]} for r in results] == answer_of(request)[
        "records"
    ]
    assert results[4]["output"]["counterparty"].startswith("5: 2026-09-04")


def test_identical_records_of_other_tasks_are_not_mistaken_for_each_other(outcomes):
    """Four of the samples are the same file, on its way at the same time."""
    contents = {sample_of(task).read_bytes() for task in ("parse", "qualify", "analyze")}
    receipts = [read_receipt(outcomes[task].folder) for task in ("parse", "qualify", "analyze")]

    assert len(contents) == 1
    assert {receipt.get("joined") for receipt in receipts} == {None}
    assert len({receipt["recipe"] for receipt in receipts}) == 3


def test_vectors_are_as_long_as_the_task_says(outcomes):
    results = read_lines(outcomes["embed"].folder / "results.jsonl")
    assert {len(result["output"]) for result in results} == {512}


def test_sentiments_are_what_the_texts_say(outcomes):
    """The sandbox judges by words, so that a first look at it looks real."""
    results = read_lines(outcomes["sentiment"].folder / "results.jsonl")
    found = [result["output"]["sentiment"] for result in results]
    assert found[:3] == ["positive", "negative", "neutral"]
