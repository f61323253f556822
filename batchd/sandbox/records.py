"""Answers to several records in one request: an entry for each id, made of that record's own words.

A request that wants `{"records": [{"id", "answer"}]}` and whose user text ends with a line
`ids: ["17", "18"]` is answered with just these, in this order. An entry depends on its id and on the
line of the text that begins with it, not on who else is asked about: asked again in other company,
a record has the same answer.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from batchd.sandbox.digests import Draws, digest_of
from batchd.sandbox.schema_tools import resolved
from batchd.sandbox.schemas import Schema, satisfy

_IDS = re.compile(r"(?:^|\n|\s)ids: (\[[^\n]*\])\s*\Z")


def answer_for_records(schema: Schema, digest: str, asked: str) -> dict[str, Any] | None:
    """The whole answer; None where the request is about one thing."""
    part, found = _answer_schema(schema), _IDS.search(asked)
    if part is None or found is None:
        return None
    text = asked[: found.start()]
    return {"records": [entry(part, schema, each, digest, text) for each in _ids(found[1])]}


def entry(part: Schema, root: Schema, record_id: str, digest: str, text: str) -> dict[str, Any]:
    """`part` is the schema of one answer, `root` the one that its references point into."""
    line = line_of(record_id, text)
    draws = Draws(digest_of([record_id, line or digest]))
    return {"id": record_id, "answer": satisfy(part, draws, line or f"record {record_id}", root)}


def line_of(record_id: str, text: str) -> str | None:
    """The first line that begins with the id, or with a mark, a word and the id (`- id 17: ...`)."""
    name = re.escape(record_id)
    found = re.search(rf"(?m)^[^\w\n]*(?:[A-Za-z]+[^\w\n]+)?(?<!\w){name}(?!\w).*$", text)
    return found.group().strip() if found else None


def _answer_schema(schema: Schema) -> Schema | None:
    records = (schema.get("properties") or {}).get("records")
    items = resolved(resolved(records, schema).get("items"), schema)
    members = items.get("properties") or {}
    return members["answer"] if {"id", "answer"} == set(members) else None


def _ids(given: str) -> list[str]:
    """What is no JSON array of ids asks for none of them."""
    try:
        return [str(each) for each in msgspec.json.decode(given, type=list)]
    except msgspec.DecodeError:
        return []
