"""What must hold of a task beyond its types: found before anything is sent, each with its key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from batchd.core import schemas
from batchd.core.columns import ERROR
from batchd.core.limits import (
    MAX_INPUTS_PER_REQUEST,
    METADATA_KEY,
    METADATA_PAIRS,
    METADATA_VALUE,
    canonical,
)
from batchd.core.tasks import CHAT, EMBEDDINGS, ENDPOINTS, MODERATIONS, RESPONSES, Task
from batchd.core.templates import names_used, syntax_problem

#: What batchd itself writes into a batch's metadata (stages/submit.py).
OWN_METADATA = ("batchd_root", "batchd_job", "batchd_shard", "description")
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # the API's own specification, `json_schema.name`
_NAME = re.compile(r"\w[\w-]*")  # a folder, and part of a command line

#: Members of a body that are not for parameters, and what to write instead.
_NOT_PARAMETERS = {
    "messages": "Write `system` and `prompt` instead.",
    "input": "Write `prompt` instead.",
    "instructions": "Write `system` instead.",
    "prompt": 'Write it above the first [table]: prompt = "..."',
    "model": 'Write it above the first [table]: model = "..."',
    "stream": "Take it out: a batch answers as a whole.",
    "background": "Take it out: a batch is nothing else.",
    "stream_options": "Take it out: a batch answers as a whole.",
}


class Fault(NamedTuple):
    """One thing that is wrong with a task."""

    path: tuple[str, ...]  #: the key in the task file
    message: str
    remedy: str
    line: int = 1  #: within that key's value, where it is a text of several lines


def name_fault(name: str) -> Fault | None:
    """A task's name is that of its file, of a folder, and a word on a command line."""
    if _NAME.fullmatch(name):
        return None
    remedy = "Rename the file: letters, digits, - and _, such as job_postings.toml."
    return Fault((), f'"{name}" is no name for a task', remedy)


def faults(task: Task) -> Iterator[Fault]:
    """Say everything that is wrong with a task whose types are right."""
    for rule in _RULES:
        yield from rule(task)


def _endpoint(task: Task) -> Iterator[Fault]:
    if canonical(task.endpoint) not in ENDPOINTS:
        near = get_close_matches(task.endpoint, ENDPOINTS, n=1, cutoff=0.5)
        remedy = f'Did you mean "{near[0]}"?' if near else f"Use one of {', '.join(ENDPOINTS)}."
        yield Fault(("endpoint",), f'there is no endpoint "{task.endpoint}" for tasks', remedy)


def _model(task: Task) -> Iterator[Fault]:
    if not task.model.strip():
        yield Fault(("model",), "the model's name is empty", 'Name one: model = "gpt-5-nano".')


def _templates(task: Task) -> Iterator[Fault]:
    if not task.prompt.strip():
        yield Fault(("prompt",), "the prompt is empty", 'Write one, such as "{{ text }}".')
    for key, source in (("system", task.system), ("prompt", task.prompt)):
        if problem := syntax_problem(source):
            line, why = problem
            message = f"{key}, line {line}: not a template: {why}"
            yield Fault((key,), message, _template_remedy(why), line)
        elif source.strip():
            yield from _names(task, key, names_used(source))


def _template_remedy(why: str) -> str:
    if "other templates" in why:
        return "Write it here: a task's template stands by itself."
    if "filter" in why:
        return "Use a filter of Jinja, or shorten(chars)."
    if "end of template" in why or "unexpected '}'" in why:
        return "Close every {{ with }} and every {% with %}; {% if %} and {% for %} need their end."
    return (
        'A column is written {{ title }} or {{ record["Job Title"] }}; braces as such {{ "{{" }}.'
    )


def _names(task: Task, key: str, names: frozenset[str]) -> Iterator[Fault]:
    sees_list = task.is_grouped and canonical(task.endpoint) in (CHAT, RESPONSES)
    if not sees_list or key != "prompt":
        return
    if "records" not in names:
        remedy = "{% for record in records %}{{ record.id }}: {{ record.text }} {% endfor %}"
        message = "with records_per_request the prompt sees a list, and does not write it"
        yield Fault((key,), message, f"Write {remedy}")
    elif not names & {"id", "tojson", task.input.id}:
        message = "the prompt does not show the records' ids, and answers are told apart by them"
        yield Fault((key,), message, "Begin each record with {{ record.id }}:")


def _grouping(task: Task) -> Iterator[Fault]:
    count, key = task.records_per_request, ("records_per_request",)
    if count < 1:
        yield Fault(key, f"records_per_request is {count}", "Write 1 or more.")
    if count > 1 and task.input.record == "file":
        message = "a file that is one record cannot share its request with others"
        yield Fault(("input", "record"), message, "Take out records_per_request, or this.")
    if count > MAX_INPUTS_PER_REQUEST:
        message = f"a request takes {MAX_INPUTS_PER_REQUEST:,} records at the most"
        yield Fault(key, message, "Write less; of records to be judged, 20 are many.")


def _system(task: Task) -> Iterator[Fault]:
    if task.system.strip() and canonical(task.endpoint) in (EMBEDDINGS, MODERATIONS):
        message = f"{task.endpoint} knows no system text"
        yield Fault(("system",), message, "Take it out, or write it into the prompt.")


def _schema(task: Task) -> Iterator[Fault]:
    schema, output = task.output.schema, ("output",)
    if not _SCHEMA_NAME.fullmatch(task.output.name):
        message = f'"{task.output.name}" is no name for a schema'
        yield Fault((*output, "name"), message, "Use up to 64 letters (a to z), digits, - and _.")
    if not task.output.column.strip() or task.output.column == ERROR:
        message = f'"{task.output.column}" cannot be the answers\' column'
        yield Fault((*output, "column"), message, 'Name another, such as "answer".')
    if schema is None:
        return
    if canonical(task.endpoint) in (EMBEDDINGS, MODERATIONS):
        message = f"{task.endpoint} answers in its own form"
        yield Fault((*output, "schema"), message, "Take the schema out.")
        return
    found = schemas.flaws(schema)
    if not found and task.is_grouped:
        found = schemas.flaws(schemas.grouped(schema))  # two levels more
    for flaw in found:
        message = f"the provider would refuse the schema: {flaw.place}: {flaw.message}"
        yield Fault((*output, "schema", *flaw.path), message, flaw.remedy)


def _parameters(task: Task) -> Iterator[Fault]:
    given = task.parameters
    for name, remedy in _NOT_PARAMETERS.items():
        if name in given and given[name] is not False:
            yield Fault(("parameters", name), f'"{name}" is not for [parameters]', remedy)
    if given.get("n", 1) != 1:
        message = "a record gets one answer"
        yield Fault(("parameters", "n"), message, "Take it out, or drop the file several times.")
    for path in _odd_numbers(given):
        message = "JSON has no word for inf and nan"
        yield Fault(("parameters", *path), message, "Write a number.")
    if task.output.schema is not None or task.is_grouped:
        yield from _asked_twice(task)


def _odd_numbers(value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield ()
    below = value.items() if isinstance(value, dict) else ()
    inside = below or (enumerate(value) if isinstance(value, list) else ())
    for name, one in inside:
        yield from ((str(name), *path) for path in _odd_numbers(one))


def _asked_twice(task: Task) -> Iterator[Fault]:
    """A form of the answer in the parameters, beside the one that batchd asks for."""
    path: tuple[str, ...] = ("response_format",)
    given = task.parameters.get("response_format")
    if canonical(task.endpoint) == RESPONSES:
        text = task.parameters.get("text")
        path, given = ("text", "format"), text.get("format") if isinstance(text, dict) else None
    own = given.get("json_schema", given) if isinstance(given, dict) else given
    if given is None or (isinstance(own, dict) and _is_harmless(given, own)):
        return
    why = "[output] schema" if task.output.schema is not None else "records_per_request"
    message = f"{why} asks for a form of the answer, and so does this"
    yield Fault(("parameters", *path), message, "Take one of them out.")


def _is_harmless(given: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """`strict = false`, say, for a server that does not know it."""
    return "schema" not in own and given.get("type", "json_schema") == "json_schema"


def _metadata(task: Task) -> Iterator[Fault]:
    key = ("metadata",)
    room = METADATA_PAIRS - len(OWN_METADATA)
    if len(task.metadata) > room:
        message = f"{len(task.metadata)} entries; {room} have room beside batchd's own"
        yield Fault(key, message, "Take some out; those of [defaults.metadata] count, too.")
    for name, value in task.metadata.items():
        if name in OWN_METADATA:
            yield Fault((*key, name), f'"{name}" is batchd\'s own', "Give it another name.")
        if not 0 < len(name) <= METADATA_KEY:
            message = f"a name has 1 to {METADATA_KEY} characters, and this has {len(name)}"
            yield Fault((*key, name), message, "Shorten it.")
        if len(value) > METADATA_VALUE:
            message = f"a value has up to {METADATA_VALUE} characters, and this has {len(value):,}"
            yield Fault((*key, name), message, "Shorten it.")


def _images(task: Task) -> Iterator[Fault]:
    if task.images is None:
        return
    kind = canonical(task.endpoint)
    if not task.images.columns or not all(task.images.columns):
        message = "no column is named that has images"
        yield Fault(("images", "columns"), message, 'Write columns = ["photo"], or no [images].')
    if kind == EMBEDDINGS:
        yield Fault(("images",), f"{task.endpoint} sees no images", "Take [images] out.")
    if kind == MODERATIONS and task.is_grouped:
        message = "a moderation of images has one record"
        yield Fault(("images",), message, "Write records_per_request = 1.")


def _input(task: Task) -> Iterator[Fault]:
    given, key = task.input, ("input",)
    if given.record == "file" and given.format not in ("auto", "text"):
        message = f"only of plain text a file can be one record, not of {given.format}"
        yield Fault((*key, "record"), message, 'Write record = "line", or take it out.')
    for name, value in (("delimiter", given.delimiter), ("quote", given.quote)):
        is_none = name == "quote" and not value  # quotes are letters like others
        if value != "auto" and len(value) != 1 and not is_none:
            message = f'"{value}" is not one character'
            remedy = 'Write one character ("," or "\\t" or ";"), or "auto".'
            yield Fault((*key, name), message, remedy)
    if given.encoding != "auto" and not _is_encoding(given.encoding):
        message = f'there is no encoding "{given.encoding}"'
        yield Fault((*key, "encoding"), message, 'Write "utf-8" or "cp1252", say, or "auto".')
    for name in ("id", "column", "sheet"):
        if getattr(given, name) == "":
            yield Fault((*key, name), f"{name} is empty", "Write a name, or take it out.")


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


Rule = Callable[[Task], Iterator[Fault]]
_RULES: tuple[Rule, ...] = (
    _endpoint,
    _model,
    _templates,
    _system,
    _grouping,
    _schema,
    _parameters,
    _metadata,
    _images,
    _input,
)
