"""docs/tasks.md has every key of a task file, with its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchd.core.tasks import Images, Task, TaskInput, TaskOutput

DOCS = Path(__file__).parents[1] / "docs" / "tasks.md"
TABLES = {"At the top": Task, "[input]": TaskInput, "[output]": TaskOutput, "[images]": Images}
OF_THE_FILE = {"name"}  #: of a Task: that of its file, and no key in it


def keys_of(heading: str) -> dict[str, str]:
    """Each key and what stands in its second column."""
    text = DOCS.read_text(encoding="utf-8").split(f"\n### {heading}\n")[1].split("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """As it would stand in a task file; None where it is unset."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if isinstance(field.default, msgspec.Struct):
        return {}  # a table that is left out
    return field.default


def said(cell: str) -> Any:
    """What a cell says: a value of TOML, `unset` or `needed`."""
    if cell in ("unset", "needed"):
        return {"unset": None, "needed": msgspec.NODEFAULT}[cell]
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_there_in_order_and_no_other(heading):
    fields = msgspec.structs.fields(TABLES[heading])
    expected = [field.name for field in fields]
    if TABLES[heading] is Task:
        expected = [name for name in expected if name not in OF_THE_FILE]
    assert list(keys_of(heading)) == expected


@pytest.mark.parametrize("heading", TABLES)
def test_every_default_is_the_one_that_holds(heading):
    fields = {field.name: field for field in msgspec.structs.fields(TABLES[heading])}
    for key, cell in keys_of(heading).items():
        assert said(cell) == default_of(fields[key]), key


def test_every_table_of_the_struct_is_documented():
    inner = {field.name for field in msgspec.structs.fields(Task)} & {"input", "output", "images"}
    assert {f"[{name}]" for name in inner} == set(TABLES) - {"At the top"}
