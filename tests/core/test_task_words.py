"""A wrong word in a task file is said in the words of TOML, with the one that was meant."""

import tomllib

import pytest

from batchd.core.task_words import made, word_faults
from batchd.core.tasks import Images, TaskInput

GOOD = """
model = "m"
prompt = "{{ text }}"
parameters = { temperature = 0, reasoning = { effort = "low" } }
[metadata]
team = "sales"
[input]
id = "tx"
[output]
schema = "t.schema.json"
[images]
columns = ["photo"]
"""


def test_a_good_file_becomes_a_task():
    content = tomllib.loads(GOOD)
    assert list(word_faults(content)) == []
    del content["output"]["schema"]
    task = made("t", content)
    assert (task.name, task.input, task.images) == (
        "t",
        TaskInput(id="tx"),
        Images(columns=("photo",)),
    )


#: A file, the key, a part of the message, and of the remedy.
WRONG = [
    ('promt = "x"', "promt", "no key promt", "Did you mean prompt?"),
    ('system-text = "x"', "system-text", "no key", ""),
    ("temperature = 0", "temperature", "no key", "[parameters]"),
    ('name = "x"', "name", "no key", "what its file is called"),
    ('schema = "x"', "schema", "no key", "belongs into [output]"),
    ("[output]\nschem = 1", "output.schem", "no key output.schem", "output.schema?"),
    ('[output]\nsystem = "x"', "output.system", "no key", "above the first [table]"),
    ("[input]\nzzz = 1", "input.zzz", "no key", "There is format"),
    ("records_per_request = '10'", "records_per_request", "a whole number", '"10"'[:0]),
    ("records_per_request = true", "records_per_request", "not true", ""),
    ("system = 3", "system", "a text in quotes, not 3", ""),
    ('[input]\nformat = "xls"', "input.format", 'one of "auto", "csv"', "excel"),
    ("[input]\nid = 3", "input.id", "a text in quotes", ""),
    ("input = 3", "input", "must be a table", "[input]"),
    ("metadata = { a = 1 }", "metadata", "a table of texts", ""),
    ("parameters = 3", "parameters", "a table", ""),
    ('[images]\ncolumns = "photo"', "images.columns", "a list of texts", '["photo"]'),
    ("[images]\ndetail = 'low'", "images", "images.columns is missing", "[images]"),
    ("[output]\nschema = [1]", "output.schema", "a table", ""),
    ("[output]\nschema = 2024-01-01", "output.schema", "2024-01-01", ""),
]


@pytest.mark.parametrize(("text", "key", "message", "remedy"), WRONG)
def test_a_wrong_word_says_what_to_write(text, key, message, remedy):
    content = {"model": "m", "prompt": "p"} | tomllib.loads(text)
    (fault,) = word_faults(content)
    assert ".".join(fault.path) == key
    assert message in fault.message
    assert remedy in fault.remedy
    assert fault.remedy


def test_what_is_needed_is_asked_for():
    model, prompt = word_faults({})
    assert (model.message, prompt.message) == ("model is missing", "prompt is missing")
    assert "defaults.model" in model.remedy
    assert "{{ text }}" in prompt.remedy


def test_a_long_value_is_not_repeated_whole():
    (fault,) = word_faults({"model": "m", "prompt": ["x" * 500]})
    assert len(fault.message) < 150
