"""Tables in a wild life: what is dropped into a task's folder, and a provider that answers badly."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from tests.dropped_tables import GROUPED, NAMED, SCHEMA, asked_ids, csv_of, judged, user_text
from tests.fakes.remote import Request, answer_for

#: Records one by one, and three per request; each with an id of its own.
TASKS = {"alone": NAMED.format(SCHEMA), "together": NAMED.format(GROUPED)}
_RARELY = 0.12
_Answered = tuple[int, dict[str, Any]]


def content_of(ids: Sequence[str], *, is_bad: bool) -> str:
    """The table of these records; a bad one has a row that is too long."""
    return csv_of({"key": id, "text": id} for id in ids) + ("a,b,c\n" if is_bad else "")


def is_of_a_table(request: Request) -> bool:
    """Whether a task made this request."""
    return "response_format" in request["body"]


def answer(request: Request, chance: random.Random) -> _Answered:
    """Answer what is asked, now and then badly: a passing failure, no JSON, entries left out."""
    status, body = answer_for(request)
    if chance.random() < _RARELY:
        return 500, {"error": {"code": "server_error", "message": "sorry"}}
    ids = asked_ids(request)
    if ids is None:
        said: dict[str, Any] = judged(_subject(request))
        said = {"verdict": 7} if chance.random() < _RARELY else said
    else:
        said = {"records": _entries(ids, chance)}
    text = json.dumps(said)
    text = text[: len(text) // 2] if chance.random() < _RARELY else text
    body["choices"][0]["message"]["content"] = text
    return status, body


def well_answered(request: Request, line: dict[str, Any]) -> list[str]:
    """The ids of the records that this line of the provider's is a good answer to; or its own."""
    if not is_of_a_table(request):
        return [request["custom_id"]]
    try:
        said = json.loads(line["response"]["body"]["choices"][0]["message"]["content"])
    except ValueError:
        return []
    ids = asked_ids(request)
    if ids is None:
        id = _subject(request)
        return [id] if said == judged(id) else []
    good = {one["id"] for one in said["records"] if one["answer"] == judged(one["id"])}
    return [id for id in ids if id in good]


def _subject(request: Request) -> str:
    return user_text(request).removeprefix("Judge: ")


def _entries(ids: Sequence[str], chance: random.Random) -> list[dict[str, Any]]:
    """An entry for each, in any order; some left out, some wrong, some twice, some of nobody's."""
    entries = list[dict[str, Any]]()
    for id in chance.sample(ids, len(ids)):
        what = chance.random() / _RARELY
        if what < 1:
            continue
        if what < 2:
            entries.append({"id": id, "answer": {"score": 1}})
        if what < 1.5:
            continue
        entries.append({"id": id, "answer": judged(id)})
        if what > 6:
            entries.append({"id": f"nobody-{id}", "answer": judged(id)})
    return entries
