"""`batchd task`: a task is made from a sample, listed, and tried on a few rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.core.prompts import Renderer
from batchd.core.tasks import Task, TaskInput
from batchd.runtime.threads import in_thread
from batchd.sandbox.options import Options
from batchd.sandbox.serving import running_sandbox
from batchd.settings import Defaults
from batchd.spool.recipes import Recipes
from batchd.tables import find_layout, records_of
from tests.cli.places import Shell, shell_in
from tests.remote.raw_server import answer, serving

SAMPLES = Path(__file__).parents[2] / "config" / "tasks" / "samples"
TASK = 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n'
GROUPED = """\
model = "gpt-4o-mini"
prompt = '''
{% for record in records %}{{ record.id }} {{ record.text }}
{% endfor %}'''
"""
SCHEMA = """
[output.schema]
type = "object"
additionalProperties = false
required = ["mood"]
[output.schema.properties.mood]
type = "string"
enum = ["good", "bad"]
"""


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    return shell_in(tmp_path / "here", monkeypatch, capsys, root=tmp_path / "root")


def task_file(name: str, text: str) -> None:
    Path("config/tasks").mkdir(parents=True, exist_ok=True)
    Path(f"config/tasks/{name}.toml").write_text(text)


def table(name: str, *rows: tuple[str, ...]) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def made_of(name: str) -> Task:
    task = Recipes(Path("config/tasks"), Defaults()).get(name)
    assert isinstance(task, Task), str(task)
    return task


def first_request(task: Task, file: Path) -> str:
    layout = find_layout(file, TaskInput(), name=file.name, pause=lambda: None)
    record = next(records_of(file, layout, pause=lambda: None))
    body = json.loads(Renderer(task).request([record], ids=["1"]))["body"]
    return str(body["messages"][-1]["content"])


# New


@pytest.mark.parametrize("sample", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_of_whatever_sample_a_task_is_made_it_can_be_used(shell, sample):
    said = shell("task", "new", "mine", "--from", str(sample))

    assert said.code == Exit.OK, said.err
    assert "batchd task try mine" in said.out
    asked = first_request(made_of("mine"), sample)
    layout = find_layout(sample, TaskInput(), name=sample.name, pause=lambda: None)
    record = next(records_of(sample, layout, pause=lambda: None))
    for value in record.fields.values():
        if isinstance(value, str):
            assert value[:40].strip() in asked


ODD = [
    "Job Title", "it's", "'''", '"""', "back\\slash", "{{ x }}", "{% raw %}", "{# no #}", "for", "loop",
    "record", "id", "row", "größe", "日本", "tab\there", "line\nbreak", "del\x7f", "\u2028", "a.b", "self",
]  # fmt: skip


def test_columns_of_whatever_name_reach_the_prompt(shell):
    table("odd.csv", tuple(ODD), tuple(f"value-{number}" for number in range(len(ODD))))

    assert shell("task", "new", "odd", "--from", "odd.csv").code == Exit.OK

    asked = first_request(made_of("odd"), Path("odd.csv"))
    assert [f"value-{n}" in asked for n in range(len(ODD))] == [True] * len(ODD)


def test_the_column_that_tells_rows_apart_is_found_and_no_other(shell):
    table("a.csv", ("paid", "user_id", "order_id"), ("1", "7", "x"), ("2", "7", "y"))
    table("b.csv", ("user_id", "text"), ("7", "x"), ("", "y"))
    shell("task", "new", "a", "--from", "a.csv")
    shell("task", "new", "b", "--from", "b.csv")

    assert (made_of("a").input.id, made_of("b").input.id) == ("order_id", None)


def test_a_member_that_not_every_object_has_is_no_error(shell):
    Path("a.jsonl").write_text('{"text": "one"}\n{"text": "two", "note": "n"}\n')
    shell("task", "new", "a", "--from", "a.jsonl")

    assert "Note: " in first_request(made_of("a"), Path("a.jsonl"))


def test_a_long_text_is_shortened_and_the_defaults_model_is_named(shell):
    table("a.csv", ("text",), ("word " * 5_000,))
    Path("mine.toml").write_text('[defaults]\nmodel = "gpt-4o"\n')
    said = shell("task", "new", "a", "--from", "a.csv", "--config", "mine.toml")

    text = Path("tasks/a.toml").read_text()
    assert said.code == Exit.OK
    assert "{{ text | shorten(4000) }}" in text
    assert "gpt-4o," in text
    task = Recipes(Path("tasks"), Defaults(model="gpt-4o")).get("a")
    assert isinstance(task, Task)
    assert task.model == "gpt-4o"


def test_nothing_is_overwritten_and_a_drop_folder_is_made_where_there_is_an_inbox(shell, tmp_path):
    table("a.csv", ("text",), ("x",))
    (tmp_path / "root" / "inbox").mkdir(parents=True)
    assert shell("task", "new", "a", "--from", "a.csv").code == Exit.OK
    before = Path("config/tasks/a.toml").read_text()
    assert (tmp_path / "root" / "inbox" / "a").is_dir()

    table("a.csv", ("other",), ("x",))
    again = shell("task", "new", "a", "--from", "a.csv")

    assert again.code == Exit.REFUSED
    assert "stays as it is" in again.err
    assert Path("config/tasks/a.toml").read_text() == before


@pytest.mark.parametrize("name", ["../a", ".a", "a b", "a/b"])
def test_what_is_no_name_for_a_task_is_a_wrong_command_line(shell, name):
    table("a.csv", ("text",), ("x",))
    assert shell("task", "new", name, "--from", "a.csv").code == Exit.USAGE
    assert not Path("config").exists()


def test_a_sample_that_is_no_table_is_said_and_nothing_is_made(shell):
    Path("a.xyz").write_text("?")
    said = shell("task", "new", "a", "--from", "a.xyz")

    assert said.code == Exit.FAILED
    assert "a.xyz: its name does not say what kind of table it is" in said.err
    assert not Path("config").exists()


# List


def test_tasks_are_listed_with_what_is_wrong_with_any(shell):
    assert "there are no tasks in " in shell("task", "list").out
    task_file("good", f'description = "Does good"\nrecords_per_request = 5\n{GROUPED}')
    assert shell("task", "list").code == Exit.OK
    task_file("bad", f"{TASK}promt = 1\n")

    said = shell("task", "list")

    assert said.code == Exit.FAILED
    bad, problem, good = said.out.splitlines()
    assert bad.split() == ["bad", "BROKEN"]
    assert "bad.toml, line 3" in problem
    assert "did you mean" in problem
    assert good.split("  ")[0] == "good"
    assert "gpt-4o-mini, 5 records per request" in good
    assert good.endswith("Does good")


# Try


async def tried(shell: Shell, monkeypatch, *arguments: str, faults: dict | None = None):
    async with running_sandbox(Options(faults=faults or {})) as sandbox:
        monkeypatch.setenv("OPENAI_BASE_URL", sandbox.base_url)
        return await in_thread(shell, "task", "try", *arguments)


async def test_a_few_rows_are_answered_without_a_key_a_root_or_a_batch(
    shell, monkeypatch, tmp_path
):
    task_file("mood", TASK + SCHEMA)
    table("a.csv", ("text",), ("one",), ("two",), ("three",), ("four",))

    said = await tried(shell, monkeypatch, "mood", "a.csv", "--rows", "2")

    assert said.code == Exit.OK, said.err
    assert said.out.splitlines()[0] == "row 1"
    assert "row 3" not in said.out
    last = said.out.splitlines()[-1]
    assert last.startswith("2 of 2 rows answered; ")
    assert "USD, paid directly; as a batch " in last
    assert not (tmp_path / "root").exists()


async def test_several_records_of_a_request_are_told_apart(shell, monkeypatch):
    task_file("many", f'records_per_request = 3\n{GROUPED}{SCHEMA}\n[input]\nid = "key"\n')
    table("a.csv", ("key", "text"), *((f"k{n}", f"text {n}") for n in range(5)))

    said = await tried(shell, monkeypatch, "many", "a.csv", "--rows", "5", "--json")

    told = json.loads(said.out)
    assert [row["id"] for row in told["rows"]] == [f"k{n}" for n in range(5)]
    assert {row["values"]["mood"] for row in told["rows"]} <= {"good", "bad"}
    assert told["requests"] == 2
    assert told["cost"]["amount"] == pytest.approx(2 * told["cost"]["as_batch"])


async def test_what_the_provider_refuses_is_that_rows_error(shell, monkeypatch):
    task_file("one", TASK.replace("gpt-4o-mini", "no-such"))
    table("a.csv", ("text",), ("x",))
    faults = {"unknown_models": ["no-such"]}

    said = await tried(shell, monkeypatch, "one", "a.csv", faults=faults)

    assert said.code == Exit.FAILED
    assert "model_not_found: " in said.out
    assert "0 of 1 rows answered" in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing", "a.csv"), Exit.NOT_FOUND, "there is no task nothing in "),
        (("on", "a.csv"), Exit.NOT_FOUND, "did you mean one?"),
        (("one", "nothing.csv"), Exit.NOT_FOUND, "there is no such file"),
        (("broken", "a.csv"), Exit.FAILED, "broken.toml, line 1"),
        (("other", "a.csv"), Exit.FAILED, 'row 1: prompt, line 1: there is no column "title"'),
        (("one", "a.csv"), Exit.CONFIGURATION, "there is no API key"),
    ],
)
def test_what_cannot_be_tried_says_why_before_anything_is_sent(shell, arguments, code, said):
    task_file("one", TASK)
    task_file("broken", "model =\n")
    task_file("other", TASK.replace("text", "title"))
    table("a.csv", ("text",), ("x",))

    found = shell("task", "try", *arguments)

    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_an_address_somewhere_else_is_never_asked_without_a_key(shell, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    task_file("one", TASK)
    table("a.csv", ("text",), ("x",))

    assert shell("task", "try", "one", "a.csv").code == Exit.CONFIGURATION


async def test_where_only_some_are_answered_the_code_says_so(shell, monkeypatch):
    message = {"role": "assistant", "content": "fine"}
    body = {"model": "gpt-4o-mini", "choices": [{"message": message, "finish_reason": "stop"}]}
    no = {"error": {"code": "content_policy", "message": "not this one"}}
    task_file("one", TASK)
    table("a.csv", ("text",), ("x",), ("y",))

    async with serving(answer(json.dumps(body)), answer(json.dumps(no), status="400 No")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        said = await in_thread(shell, "task", "try", "one", "a.csv")

    assert said.code == Exit.PARTLY
    assert "  answer                fine\n" in said.out
    assert "content_policy: " in said.out
    assert "1 of 2 rows answered" in said.out
