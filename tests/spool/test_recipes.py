"""A task is what its file says now, and a mistake names file, line and remedy."""

import json
import os
from pathlib import Path

import pytest

from batchd.core.tasks import CHAT, EMBEDDINGS, RESPONSES, Task
from batchd.settings import Defaults
from batchd.spool.recipes import MAX_BYTES, Broken, Recipes, inherited, json_line

SHIPPED = Path(__file__).parents[2] / "config" / "tasks"
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}
GOOD = 'model = "m"\nprompt = "{{ text }}"\n'


@pytest.fixture
def tasks(tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


def write(folder, text, name="t"):
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def recipes_of(folder, **defaults):
    return Recipes(folder, Defaults(**defaults))


def task_in(folder, **defaults) -> Task:
    task = recipes_of(folder, **defaults).get("t")
    assert isinstance(task, Task), str(task)
    return task


def mistakes_in(folder, name="t", **defaults):
    broken = recipes_of(folder, **defaults).get(name)
    assert isinstance(broken, Broken)
    assert broken.problems
    assert all(problem.remedy for problem in broken.problems)
    return broken.problems


def only_mistake(folder, **more):
    (mistake,) = mistakes_in(folder, **more)
    return mistake


# Which there are


def test_the_names_are_those_of_the_files(tasks):
    for name in ("b.toml", "a.toml", ".hidden.toml", "a.schema.json", "a.toml~", "README"):
        (tasks / name).write_text("")
    (tasks / "samples").mkdir()
    assert recipes_of(tasks).names() == ("a", "b")


def test_without_a_folder_there_are_no_tasks(tmp_path):
    recipes = recipes_of(tmp_path / "none")
    assert recipes.names() == ()
    assert recipes.get("t") is None


@pytest.mark.parametrize("name", ["", ".", "..", "../t", ".hidden", "nothing", "t\0"])
def test_what_is_no_task_is_none(tasks, name):
    write(tasks, GOOD)
    write(tasks, GOOD, ".hidden")
    assert recipes_of(tasks).get(name) is None


def test_every_shipped_task_is_a_good_one():
    recipes = recipes_of(SHIPPED)
    assert recipes.names()
    assert {
        name: str(recipes.get(name))
        for name in recipes.names()
        if not isinstance(recipes.get(name), Task)
    } == {}


# What a file says


def test_a_task_says_what_its_file_says(tasks):
    write(tasks, f'{GOOD}[output]\ncolumn = "kind"\n[parameters]\ntemperature = 0\n')
    task = task_in(tasks)
    assert (task.name, task.model, task.prompt) == ("t", "m", "{{ text }}")
    assert (task.output.column, task.parameters) == ("kind", {"temperature": 0})


def test_windows_leaves_its_marks_and_is_read(tasks):
    (tasks / "t.toml").write_bytes(b'\xef\xbb\xbfmodel = "m"\r\nprompt = """\r\na\r\nb"""\r\n')
    assert task_in(tasks).prompt == "a\nb"


def test_a_schema_may_lie_in_a_file_of_its_own(tasks):
    write(tasks, f'{GOOD}[output]\nschema = "kinds.json"\n')
    (tasks / "kinds.json").write_text(json.dumps(SCHEMA))
    assert task_in(tasks).output.schema == SCHEMA


# What it has from the defaults


def test_what_a_file_leaves_out_comes_from_the_defaults(tasks):
    write(tasks, 'prompt = "p"\n[parameters]\nseed = 1\n[metadata]\nteam = "b"\n')
    task = task_in(
        tasks,
        endpoint=RESPONSES,
        model="gpt-5",
        system="Be brief.",
        parameters={"seed": 2, "reasoning": {"effort": "low"}},
        metadata={"team": "a", "site": "x"},
    )
    assert (task.endpoint, task.model, task.system) == (RESPONSES, "gpt-5", "Be brief.")
    assert task.parameters == {"seed": 1, "reasoning": {"effort": "low"}}
    assert task.metadata == {"team": "b", "site": "x"}


@pytest.mark.parametrize(
    ("endpoint", "usual", "inherits"),
    [
        (CHAT, CHAT, {"model", "system", "parameters"}),
        (RESPONSES, CHAT, {"model", "system"}),
        (EMBEDDINGS, CHAT, set()),
        (EMBEDDINGS, EMBEDDINGS, {"model", "system", "parameters"}),
        (CHAT, EMBEDDINGS, set()),
    ],
)
def test_what_means_something_else_elsewhere_is_not_inherited(endpoint, usual, inherits):
    """`max_completion_tokens` is chat's own, and a model that writes does not embed."""
    defaults = Defaults(endpoint=usual, model="m", system="s", parameters={"a": 1})
    whole = inherited({"endpoint": endpoint}, defaults)
    assert {name for name in ("model", "system", "parameters") if whole.get(name)} == inherits


def test_a_task_may_inherit_nothing(tasks):
    write(tasks, 'prompt = "p"\n')
    mistake = only_mistake(tasks)
    assert mistake.message == "model is missing"
    assert "defaults.model" in mistake.remedy


def test_a_default_that_is_wrong_is_said_to_be_one(tasks):
    write(tasks, GOOD)
    mistake = only_mistake(tasks, system="{{ a")
    assert "(from [defaults] in batchd.toml)" in mistake.message
    assert mistake.line is None


# What is wrong with it


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('model = "m"\nprompt = x\n', 2, "not valid TOML"),
        ('model = "m"\nprompt = "', 2, "not valid TOML"),
        (f'{GOOD}colour = "red"\n', 3, "no key colour"),
        (f'{GOOD}\n[output]\nname = "a b"\n', 5, "no name for a schema"),
        ('prompt = "{{ text"\nmodel = "m"\n', 1, "not a template"),
        ('model = "m"\nprompt = """\none\n{{ two\n"""\n', 4, "prompt, line 2: not a template"),
        ('model = "m"\nprompt = """one\n{{ two\n"""\n', 3, "prompt, line 2: not a template"),
        (f'{GOOD}[output]\nschema = {{ type = "object" }}\n', 4, "would refuse the schema"),
        (
            f"""{GOOD}[output.schema]
type = "object"
required = ["a"]
additionalProperties = false
[output.schema.properties.a]
type = "string"
minLength = 3
""",
            9,
            "minLength",
        ),
    ],
)
def test_a_mistake_names_its_line(tasks, text, line, message):
    write(tasks, text)
    mistake = mistakes_in(tasks)[0]
    assert (mistake.file, mistake.line) == (tasks / "t.toml", line)
    assert message in mistake.message


def test_a_mistake_reads_as_a_sentence(tasks):
    write(tasks, f'{GOOD}promt = "x"\nmodle = "y"\n')
    said = str(recipes_of(tasks).get("t"))
    assert (
        said
        == f"{tasks / 't.toml'}, line 3: there is no key promt; did you mean prompt? (and 1 more)"
    )


def test_the_end_of_a_file_is_a_place_too(tasks):
    write(tasks, "a = [1")
    assert "at its end: not valid TOML" in only_mistake(tasks).message


def test_a_file_that_is_not_utf_8_says_where(tasks):
    (tasks / "t.toml").write_bytes('model = "m"\nprompt = "größe"\n'.encode("cp1252"))
    mistake = only_mistake(tasks)
    assert (mistake.line, mistake.message) == (2, "byte 25 is not UTF-8")


def test_a_folder_or_a_pipe_of_that_name_is_no_task(tasks):
    (tasks / "t.toml").mkdir()
    assert "cannot be read" in only_mistake(tasks).message
    os.mkfifo(tasks / "p.toml")
    assert "plain file" in mistakes_in(tasks, "p")[0].message


def test_a_file_that_is_far_too_large_is_not_read(tasks):
    (tasks / "t.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "plain file" in only_mistake(tasks).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_says_so(tasks):
    write(tasks, GOOD)
    (tasks / "t.toml").chmod(0)
    assert "Permission denied" in only_mistake(tasks).message


def test_a_name_that_is_no_word_is_listed_and_broken(tasks):
    write(tasks, GOOD, "my task")
    assert recipes_of(tasks).names() == ("my task",)
    assert "Rename" in mistakes_in(tasks, "my task")[0].remedy


# The schema's file


def schema_mistake(tasks, text=None):
    write(tasks, f'{GOOD}[output]\nschema = "s.json"\n')
    if text is not None:
        (tasks / "s.json").write_text(text)
    return mistakes_in(tasks)[0]


def test_a_schema_that_is_not_there_is_said_where_it_is_named(tasks):
    mistake = schema_mistake(tasks)
    assert (mistake.file.name, mistake.line) == ("t.toml", 4)
    assert "s.json is not there" in mistake.message


@pytest.mark.parametrize("path", ["", "~nobody/s.json", "a\\u0000b", "/", "x" * 300])
def test_a_path_that_leads_nowhere_is_a_mistake(tasks, path):
    write(tasks, f'{GOOD}[output]\nschema = "{path}"\n')
    assert mistakes_in(tasks)


def test_a_schema_file_that_cannot_be_read_is_the_mistakes_place(tasks):
    (tasks / "s.json").mkdir()
    mistake = schema_mistake(tasks)
    assert (mistake.file.name, mistake.line) == ("s.json", None)


def test_a_link_to_itself_is_a_mistake(tasks):
    (tasks / "t.toml").symlink_to(tasks / "t.toml")
    assert "cannot be read" in only_mistake(tasks).message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n"type": object\n}', 2, "not JSON"),
        ("[]", 1, "not a JSON object"),
        ("[" * 100_000, None, "nested too deeply"),
        ('{\n"type": "object",\n"properties": {},\n"required": []\n}', 1, "additionalProperties"),
        (json.dumps(SCHEMA | {"properties": {"kind": {"type": "strng"}}}, indent=1), 5, "strng"),
    ],
)
def test_a_flaw_of_a_schema_file_names_the_line_in_it(tasks, text, line, message):
    mistake = schema_mistake(tasks, text)
    assert (mistake.file.name, mistake.line) == ("s.json", line)
    assert message in mistake.message


def test_a_member_of_json_is_found_in_its_order():
    text = '{\n"a": {"b": 1},\n"c": {\n"b":\n2}}'
    assert [json_line(text, path) for path in (("a", "b"), ("c", "b"), ("c",), ())] == [2, 4, 3, 1]
    assert json_line(text, ("c", "zzz")) == 3


# Change


def test_a_look_at_what_has_not_changed_reads_nothing(tasks):
    write(tasks, GOOD)
    recipes = recipes_of(tasks)
    assert recipes.get("t") is recipes.get("t")


def test_a_change_is_seen_and_so_is_its_end(tasks):
    recipes = recipes_of(tasks)
    assert recipes.get("t") is None
    write(tasks, "model = ")
    assert isinstance(recipes.get("t"), Broken)
    write(tasks, GOOD)
    assert isinstance(recipes.get("t"), Task)
    (tasks / "t.toml").unlink()
    assert recipes.get("t") is None


def test_a_change_of_the_schemas_file_is_seen(tasks):
    write(tasks, f'{GOOD}[output]\nschema = "s.json"\n')
    recipes = recipes_of(tasks)
    assert isinstance(recipes.get("t"), Broken)
    (tasks / "s.json").write_text(json.dumps(SCHEMA))
    assert isinstance(recipes.get("t"), Task)
    (tasks / "s.json").write_text("{}")
    assert isinstance(recipes.get("t"), Broken)
    (tasks / "s.json").unlink()
    assert isinstance(recipes.get("t"), Broken)


def test_a_change_of_the_defaults_is_seen(tasks):
    write(tasks, 'prompt = "p"\n')
    recipes = recipes_of(tasks)
    assert isinstance(recipes.get("t"), Broken)
    recipes.defaults = Defaults(model="gpt-5")
    task = recipes.get("t")
    assert isinstance(task, Task)
    assert task.model == "gpt-5"


def test_a_link_is_followed_and_one_to_nowhere_is_a_mistake(tasks, tmp_path):
    """A configuration is often made of links: a ConfigMap is."""
    real = tmp_path / "real.toml"
    (tasks / "t.toml").symlink_to(real)
    recipes = recipes_of(tasks)
    broken = recipes.get("t")
    assert isinstance(broken, Broken)
    assert "cannot be read" in broken.problems[0].message
    real.write_text(GOOD)
    assert isinstance(recipes.get("t"), Task)
    real.unlink()
    assert isinstance(recipes.get("t"), Broken)
