"""Tables and tasks for the tests: task files, tables dropped for them, and a provider that answers
what is asked for, so that every answer tells whose it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.fakes.remote import Request, answer_for

PLAIN = """
model = "gpt-4o-mini"
prompt = "Translate: {{ text }}"
[parameters]
max_completion_tokens = 500
[output]
column = "translation"
"""

SCHEMA = """
model = "gpt-4o-mini"
prompt = "Judge: {{ text }}"
[parameters]
max_completion_tokens = 500
[output.schema]
type = "object"
additionalProperties = false
required = ["verdict", "score"]
properties = { verdict = { type = "string" }, score = { type = "integer" } }
"""

GROUPED = SCHEMA.replace(
    "Judge: {{ text }}", "Judge:{% for r in records %} {{ r.id }}: {{ r.text }}{% endfor %}"
)
GROUPED = GROUPED.replace('model = "gpt-4o-mini"', 'model = "gpt-4o-mini"\nrecords_per_request = 3')

#: The same, whose records have ids of their own.
NAMED = '{0}\n[input]\nid = "key"\n'


def drop_table(root: Path, task: str, name: str, content: str | bytes) -> Path:
    """Drop a table into a task's folder, as a program should: write elsewhere, rename."""
    inbox = root / "inbox"
    for folder in (inbox / ".tmp", inbox / task):
        folder.mkdir(parents=True, exist_ok=True)
    (inbox / ".tmp" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return (inbox / ".tmp" / name).rename(inbox / task / name)


def claimed_table(root: Path, task: str, name: str, content: str | bytes, *, job: str) -> str:
    """Lay a table where a claim leaves it, before anybody has listed it; return its job."""
    path = root / "var" / "work" / job / "in" / task / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return job


def csv_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """A table of these rows."""
    listed = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()


def rows_of_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(count: int) -> str:
    """A table of so many records: key and text, one of them with a line break in it."""
    return csv_of({"key": f"k{n}", "text": f"text {n}\nof it"} for n in range(1, count + 1))


def user_text(request: Request) -> str:
    """What the user says in a chat request."""
    content = request["body"]["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def asked_ids(request: Request) -> list[str] | None:
    """The ids of the records that a request asks about; None where it asks about one."""
    last = user_text(request).splitlines()[-1]
    return json.loads(last.removeprefix("ids: ")) if last.startswith("ids: ") else None


def judged(subject: str) -> dict[str, Any]:
    """What the provider below says of a record."""
    return {"verdict": f"of {subject}", "score": len(subject)}


def as_asked(request: Request) -> tuple[int, dict[str, Any]]:
    """Answer in the form that was asked for: an entry for each id, or one that names the request."""
    status, body = answer_for(request)
    if "response_format" in request["body"]:
        ids = asked_ids(request)
        content = _entries(ids) if ids is not None else judged(request["custom_id"])
        body["choices"][0]["message"]["content"] = json.dumps(content)
    return status, body


def _entries(ids: Iterable[str]) -> dict[str, Any]:
    return {"records": [{"id": id, "answer": judged(id)} for id in ids]}


class Careless:
    """Answers that leave some records out, and invent others: the first time only."""

    def __init__(self, *ids: str) -> None:
        self.left_out = list(ids)
        self.asked: list[list[str]] = []

    def __call__(self, request: Request) -> tuple[int, dict[str, Any]]:
        status, body = as_asked(request)
        ids = asked_ids(request) or []
        self.asked.append(ids)
        entries = [{"id": id, "answer": judged(id)} for id in ids if id not in self.left_out]
        entries += [{"id": "nobody", "answer": judged("nobody")} for id in ids if id == "2"]
        self.left_out = [id for id in self.left_out if id not in ids]
        body["choices"][0]["message"]["content"] = json.dumps({"records": entries})
        return status, body
