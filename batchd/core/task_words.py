"""From the tables of a task file to a `Task`: keys and types, said in the words of TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec

from batchd.core.task_rules import Fault
from batchd.core.tasks import Images, Task, TaskInput, TaskOutput

#: The tables of a task file; everything else stands above the first of them.
TABLES: Mapping[str, type[msgspec.Struct]] = {
    "input": TaskInput,
    "output": TaskOutput,
    "images": Images,
}
_FROM_FILE = "schema"  #: of [output]: a table here, or the name of a file
_WORDS: Mapping[Any, str] = {
    str: "a text in quotes",
    int: "a whole number",
    tuple[str, ...]: 'a list of texts, such as ["photo"]',
    dict[str, Any]: "a table",
    dict[str, str]: 'a table of texts, such as { team = "sales" }',
}


def word_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Say which keys there are not, which are needed, and which have a wrong kind of value."""
    yield from _of_table(content, Task, ())
    for name, struct in TABLES.items():
        table = content.get(name)
        if isinstance(table, dict):
            yield from _of_table(table, struct, (name,))
        elif table is not None:
            yield Fault((name,), f"{name} must be a table", f"Write [{name}] and its keys below.")


def made(name: str, content: Mapping[str, Any]) -> Task:
    """Return the task; its content has no `word_faults`."""
    return msgspec.convert({"name": name, **content}, Task)


def _of_table(
    table: Mapping[str, Any], struct: type[msgspec.Struct], path: tuple[str, ...]
) -> Iterator[Fault]:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    if not path:
        del fields["name"]
    for key, value in table.items():
        if key not in fields:
            yield Fault((*path, key), f"there is no key {_shown(path, key)}", _meant(path, key))
        elif key not in TABLES or path:
            yield from _of_value((*path, key), value, fields[key].type)
    for key, field in fields.items():
        if field.required and key not in table:
            yield Fault(path, f"{_shown(path, key)} is missing", _needed(path, key))


def _of_value(path: tuple[str, ...], value: Any, type_: Any) -> Iterator[Fault]:
    if path == ("output", _FROM_FILE) and isinstance(value, str):
        return
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        message = f"{_shown(path[:-1], path[-1])} must be {_words(type_)}, not {_given(value)}"
        yield Fault(path, message, f"Write {_words(type_)}.")


def _words(type_: Any) -> str:
    if get_origin(type_) is UnionType:
        type_ = next(one for one in get_args(type_) if one is not type(None))
    if type_ in _WORDS:
        return _WORDS[type_]
    return "one of " + ", ".join(f'"{word}"' for word in get_args(type_))


def _given(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(path: tuple[str, ...], key: str) -> str:
    return ".".join((*path, key))


def _needed(path: tuple[str, ...], key: str) -> str:
    if key == "model":
        return 'Write model = "gpt-5-nano", say, or set defaults.model in batchd.toml.'
    example = '["photo"]' if key == "columns" else '"{{ text }}"'
    return f"Write {key} = {example}, say{' below [images]' if path else ''}."


def _keys(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


def _meant(path: tuple[str, ...], key: str) -> str:
    """In this table, in another one, or at the top: TOML gives a table all that follows it."""
    known: dict[tuple[str, ...], list[str]] = {(): _keys(Task)[1:]}
    known |= {(table,): _keys(struct) for table, struct in TABLES.items()}
    if key == "name" and not path:
        return "Take it out: a task is called what its file is called."
    if path and key in known[()]:
        return f"{key} belongs above the first [table]: TOML gives [{path[0]}] all that follows it."
    near = get_close_matches(key.lower().replace("-", "_"), known[path], n=1, cutoff=0.6)
    if near:
        return f"Did you mean {_shown(path, near[0])}?"
    elsewhere = next((one for one, keys in known.items() if one and key in keys), None)
    if elsewhere:
        return f"{key} belongs into [{elsewhere[0]}]."
    if not path:
        return f"Write it below [parameters], if the API knows it; else there is {', '.join(known[()])}."
    return f"There is {', '.join(known[path])}."
