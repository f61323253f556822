"""`batchd task check`, and `batchd check` in a task's folder: what the daemon would make of a table."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from batchd.cli.exits import Exit
from batchd.control.shapes import Check
from tests.cli.places import Shell, shell_in
from tests.cli.test_task import GROUPED, SCHEMA, TASK, table, task_file
from tests.control.test_shapes import committed
from tests.houses import live, open_services
from tests.sandbox.schema_checker import problems


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    return shell_in(tmp_path / "here", monkeypatch, capsys, root=tmp_path / "root")


def told(shell: Shell, *arguments: str) -> dict:
    """The one file that a command tells of, held against the schema."""
    said = json.loads(shell(*arguments, "--json").out)
    assert problems(said, committed("task-check")) == []
    (file,) = said["files"]
    kept = msgspec.json.encode(msgspec.convert(said, Check))
    assert json.loads(kept) == said, "nothing is said that is not described"
    return dict(file)


def test_a_table_is_told_with_its_columns_its_requests_and_the_first_of_them(shell):
    task_file("many", f'description = "Says the mood"\nrecords_per_request = 3\n{GROUPED}{SCHEMA}')
    table("a.csv", ("key", "text"), *((f"k{n}", f"text {n}") for n in range(1, 8)))

    said = shell("task", "check", "many", "a.csv")
    file = told(shell, "task", "check", "many", "a.csv")

    assert said.code == Exit.OK, said.err
    lines = {line[2:14].strip(): line[14:] for line in said.out.splitlines() if line[2:3].strip()}
    assert lines["task"] == "many: Says the mood"
    assert lines["table"] == 'csv, fields end with ",", utf-8'
    assert lines["columns"] == "key, text"
    assert lines["adds"] == "mood, batchd_error"
    assert lines["records"] == "7, 3 in a request"
    assert lines["requests"].startswith("3 to gpt-4o-mini, /v1/chat/completions")
    assert "USD expected" in lines["cost"]
    assert "    user      | 1 text 1\n              | 2 text 2\n" in said.out
    assert 'ids: ["1","2","3"]' in said.out
    assert (file["fate"], file["records"], file["requests"], file["batches"]) == (
        "accepted",
        7,
        3,
        1,
    )
    assert file["first_request"]["custom_id"] == "1"
    assert file["added_columns"] == ["mood", "batchd_error"]


async def test_what_is_told_is_what_the_daemon_plans(shell, tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)  # its tasks lie in config/tasks
    task_file("one", TASK)
    table("a.csv", ("text",), *((f"text {n}",) for n in range(5)))
    async with open_services(root, batches={"max_requests": 2}) as services:
        folder = root / "inbox" / "one"
        folder.mkdir(exist_ok=True)
        (folder / "a.csv").write_bytes(Path("a.csv").read_bytes())
        checked = told(shell, "check", str(folder / "a.csv"), "--set", "batches.max_requests=2")
        await live(services, deliveries=1)
        job = await services.ledger.job(str(await services.ledger.last_job()))
        shards = await services.ledger.shards_of(job.id)

    assert (checked["task"], checked["batches"]) == ("one", len(shards))
    assert checked["records"] == job.requests
    assert checked["input_tokens"] == sum(shard.tokens for shard in shards)
    assert checked["sha256"] == job.sha256


def test_every_mistake_is_told_with_its_row(shell):
    task_file("one", f'{TASK}[input]\nid = "key"\n')
    Path("a.jsonl").write_text(
        '{"key": 1, "text": "x"}\n{"key": 2}\n{"key": 1, "text": "y"}\n{"text": "z"}\n'
    )

    said = shell("task", "check", "one", "a.jsonl")
    file = told(shell, "task", "check", "one", "a.jsonl")

    assert said.code == Exit.FAILED
    assert "row 2: " in said.out
    assert 'there is no column "text"' in said.out
    errors = {error["row"]: error["code"] for error in file["problems"]["errors"]}
    assert errors == {2: "unknown_column", 3: "duplicate_id", 4: "missing_id"}
    assert all(error["remedy"] for error in file["problems"]["errors"])


def test_a_table_where_no_task_is_asked_is_told_where_it_belongs(shell):
    task_file("one", TASK)
    table("a.csv", ("text",), ("x",))

    said = shell("check", "a.csv")

    assert said.code == Exit.FAILED
    assert "put it into inbox/TASK/ (there is one)" in said.out


def test_in_the_folder_of_a_task_a_file_is_read_by_it_wherever_one_stands(
    shell, tmp_path, monkeypatch
):
    task_file("one", TASK)
    config = Path("config/batchd.toml").absolute()
    config.touch()
    folder = tmp_path / "root" / "inbox" / "one"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    table("a.csv", ("text",), ("x",))

    file = told(shell, "check", "a.csv", "--config", str(config))

    assert (file["task"], file["fate"]) == ("one", "accepted")


def test_what_waits_for_its_task_is_told_so(shell, tmp_path):
    task_file("bad", "model =\n")
    folder = tmp_path / "root" / "inbox" / "bad"
    folder.mkdir(parents=True)
    table("a.csv", ("text",), ("x",))
    (folder / "a.csv").write_bytes(Path("a.csv").read_bytes())

    said = shell("check", str(folder / "a.csv"))

    assert said.code == Exit.FAILED
    assert "it would wait: " in said.out
    assert "bad.toml, line 1" in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing", "a.csv"), Exit.NOT_FOUND, "there is no task nothing"),
        (("one", "nothing.csv"), Exit.NOT_FOUND, "there is no such file"),
        (("bad", "a.csv"), Exit.FAILED, "bad.toml, line 1"),
        (("one", "a.xyz"), Exit.FAILED, "does not say what kind of table"),
        (("one",), Exit.USAGE, "Missing argument"),
    ],
)
def test_what_cannot_be_checked_says_why(shell, arguments, code, said):
    task_file("one", TASK)
    task_file("bad", "model =\n")
    table("a.csv", ("text",), ("x",))
    Path("a.xyz").write_text("?")

    found = shell("task", "check", *arguments)

    assert found.code == code
    assert said in found.out + found.err


def test_a_long_prompt_is_shown_by_its_beginning(shell):
    task_file("one", TASK)
    Path("a.jsonl").write_text(json.dumps({"text": "line\n" * 100}) + "\n")

    out = shell("task", "check", "one", "a.jsonl").out

    assert "... 60 more lines (--json)" in out
    assert out.count("| line") == 40
