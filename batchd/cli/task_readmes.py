"""What the README in a task's drop folder says: what it takes, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

from batchd.core.columns import added_columns
from batchd.core.names import printable
from batchd.core.records import Layout
from batchd.core.tasks import Task
from batchd.core.templates import columns_used

_WIDTH = 100
_KINDS = {
    "auto": "Tables: CSV, TSV, JSON, JSON Lines, plain text (a record per line), Parquet, Excel; all"
    " but the last two compressed, too (.gz)",
    "csv": "CSV files, whatever they are called",
    "tsv": "TSV files, whatever they are called",
    "json": "JSON files, each an array of objects, whatever they are called",
    "jsonl": "JSON Lines files, an object per line, whatever they are called",
    "text": "Plain text, a record per line, whatever the files are called",
    "parquet": "Parquet files, whatever they are called",
    "excel": "Excel workbooks, whatever they are called",
}


_ANY = Layout(format="csv")  # without columns of its own: what is added to it is added to any


def readme_of(name: str, task: Task | None) -> str:
    """Return the text. Of a task that can't be read now it says what holds of all."""
    about = f": {task.description}" if task and task.description else ""
    lines = [fill(printable(f"Files for the task {name}{about}"), _WIDTH), ""]
    lines += [_point(text) for text in _points(name, task)]
    return "\n".join(lines) + "\n"


def _point(text: str) -> str:
    return fill(printable(text), _WIDTH, initial_indent="* ", subsequent_indent="  ")


def _points(name: str, task: Task | None) -> Iterator[str]:
    yield f"{_kinds(task)}. Each file becomes one folder in ../../outbox/, its rows in their order."
    if task:
        if names := _columns_of(task):
            yield f"Its prompt uses these columns: {', '.join(names)}."
        if task.input.id:
            yield f"The column {task.input.id} identifies a row, and may not be empty or repeated."
        yield f"Beside each row you get: {', '.join(added_columns(task, _ANY))}."
    yield f"The task itself is {name}.toml, in the folder tasks/ beside batchd's configuration file."
    yield "What would become of a file: batchd check FILE. Where it is, and why: batchd why FILE."


def _columns_of(task: Task) -> list[str]:
    return sorted(columns_used(task.system) | columns_used(task.prompt))


def _kinds(task: Task | None) -> str:
    if task and task.input.record == "file":
        return "Plain text, each file one record"
    return _KINDS[task.input.format if task else "auto"]
