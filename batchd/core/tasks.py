"""A task: the recipe that turns records into requests, and answers back into columns.

These are the words of a task file (`tasks/NAME.toml`), and what a job keeps of it once its file is
planned (`task.json`). What else must hold of a task is `core/task_rules.py`'s business, and where its
file lies `spool/recipes.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

Format: TypeAlias = Literal["auto", "csv", "tsv", "json", "jsonl", "text", "parquet", "excel"]

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
EMBEDDINGS, MODERATIONS = "/v1/embeddings", "/v1/moderations"

#: What a task may ask. The batch API's other endpoints make files of their own, not columns.
ENDPOINTS = (CHAT, RESPONSES, EMBEDDINGS, MODERATIONS)


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a task file. An unknown key is an error, never a silent default."""


class TaskInput(_Part, frozen=True, kw_only=True):
    """How the dropped file is read."""

    format: Format = "auto"  #: auto: by the file's name
    id: str | None = None  #: the column that identifies a record; None: its row number
    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = "auto"
    record: Literal["line", "file"] = "line"  #: of plain text: what one record is
    column: str = "text"  #: the one column of plain text
    sheet: str | None = None  #: of a workbook; None: its first that is not hidden


class TaskOutput(_Part, frozen=True, kw_only=True):
    """What becomes of an answer."""

    schema: dict[str, Any] | None = None  #: JSON Schema, strict; None: plain text
    name: str = "answer"  #: the schema's name, as the provider is told
    column: str = "answer"  #: where a plain text goes


class Images(_Part, frozen=True, kw_only=True):
    """Which columns hold addresses of images that the model is to see."""

    columns: tuple[str, ...]
    detail: Literal["auto", "low", "high"] = "auto"


class Task(_Part, frozen=True, kw_only=True):
    """A task, resolved: what a file leaves out has come from `[defaults]`."""

    name: str
    description: str = ""
    endpoint: str = CHAT  #: one of `ENDPOINTS`
    model: str
    system: str = ""  #: a template, as is `prompt`
    prompt: str
    records_per_request: int = 1
    parameters: dict[str, Any] = {}  #: of the request's body, as they are; they win over batchd's
    metadata: dict[str, str] = {}  #: of the batch
    input: TaskInput = TaskInput()
    output: TaskOutput = TaskOutput()
    images: Images | None = None

    @property
    def is_grouped(self) -> bool:
        """Whether a request carries several records."""
        return self.records_per_request > 1


def encode(task: Task) -> bytes:
    """Return what a job keeps of its task. The same task gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(task), indent=2) + b"\n"


def decode(content: bytes) -> Task:
    """Return the task that `encode` wrote. Raises `msgspec.MsgspecError` where it is none."""
    return _decode(content)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one set of parameters over another: tables grow together, all else is replaced."""
    result = dict(below)
    for name, value in above.items():
        under = result.get(name)
        both = isinstance(under, dict) and isinstance(value, dict)
        result[name] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


_decode = msgspec.json.Decoder(Task).decode
