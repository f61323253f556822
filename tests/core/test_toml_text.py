"""A message names the line, though the reader of TOML forgets it."""

import tomllib

import pytest

from batchd.core.toml_text import flaw, key_path, line_of, lines_of

TEXT = '''\
# a comment
model = "m"
prompt = """
model = with an equals sign
[Company]
"""
system = """one line"""

[output]
schema.type = "object"

[output.schema.properties."a b"]
type = "string"

[[list]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("model",), 2),
        (("prompt",), 3),
        (("system",), 7),
        (("output",), 9),
        (("output", "schema", "type"), 10),
        (("output", "schema", "properties", "a b"), 12),
        (("output", "schema", "properties", "a b", "type"), 13),
        (("output", "schema", "properties", "a b", "enum"), 12),
        (("output", "name"), 9),
        (("Company",), None),
        (("nothing",), None),
        ((), None),
    ],
)
def test_a_key_is_found_or_the_table_around_it(path, line):
    assert line_of(path, lines_of(TEXT)) == line


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", ("a",)),
        ('batches.enqueued_tokens."gpt-4.1"', ("batches", "enqueued_tokens", "gpt-4.1")),
        ("a b", ()),
        ("", ()),
    ],
)
def test_a_key_is_taken_apart_as_toml_does(key, path):
    assert key_path(key) == path


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        (
            "a = 1\nb = info\n",
            2,
            8,
            "not valid TOML: expected newline or end of document after a statement; a text needs quotes",
        ),
        ("a = [1", None, None, "not valid TOML: unclosed array"),
        ("a = 1\na = 2\n", 2, 6, "not valid TOML: cannot overwrite a value"),
    ],
)
def test_what_is_no_toml_says_where(text, line, column, said):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert flaw(str(caught.value)) == (line, column, said)
