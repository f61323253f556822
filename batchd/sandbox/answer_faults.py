"""Answers in JSON that come out wrong: entries missing, invented or twice, misfits, broken JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from batchd.sandbox.digests import share_of
from batchd.sandbox.faults import AnswerRule

Entry = dict[str, Any]


class AnswerFaults:
    """The rules in force, and how often each has hit each id."""

    def __init__(self, rules: list[AnswerRule]) -> None:
        self._rules = [
            (str(number), rule, frozenset(rule.ids)) for number, rule in enumerate(rules)
        ]
        self._hits: Counter[tuple[str, str]] = Counter()

    def spoil(self, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """The body, with whatever goes wrong in its text. What is no JSON object stays as it is."""
        place = _text_of(body) if self._rules else None
        if place is None:
            return body
        holder, name = place
        value = _decoded(holder[name])
        if value is not None:
            holder[name] = self._spoilt(custom_id, value)
        return body

    def _spoilt(self, custom_id: str, value: dict[str, Any]) -> str:
        entries = _entries(value)
        if entries is not None:
            value = {"records": [each for one in entries for each in self._entry(one)]}
        elif "misfit" in self._struck(custom_id, ("misfit",)):
            value = _misfit(value)
        text = msgspec.json.encode(value).decode()
        return text[: len(text) // 2] if self._struck(custom_id, ("not_json",)) else text

    def _entry(self, one: Entry) -> Iterator[Entry]:
        """What becomes of one record's entry: nothing, itself, or more than was asked for."""
        struck = self._struck(one["id"], ("drop", "misfit", "repeat", "invent"))
        if "drop" in struck:
            return
        good = {"id": one["id"], "answer": _misfit(one["answer"])} if "misfit" in struck else one
        yield good
        if "repeat" in struck:
            yield good
        if "invent" in struck:
            yield {"id": f"invented-{one['id']}", "answer": one["answer"]}

    def _struck(self, name: str, kinds: tuple[str, ...]) -> set[str]:
        """What of these happens to this answer of an id."""
        return {
            rule.what
            for salt, rule, names in self._rules
            if rule.what in kinds and self._hits_now(salt, rule, name, named=name in names)
        }

    def _hits_now(self, salt: str, rule: AnswerRule, name: str, *, named: bool) -> bool:
        if not named and share_of("answer", salt, name) >= rule.rate:
            return False
        self._hits[salt, name] += 1
        return rule.times is None or self._hits[salt, name] <= rule.times


def _text_of(body: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Where the text of an answer stands: of chat, or of Responses."""
    if choices := body.get("choices"):
        message = choices[0].get("message")
        return (message, "content") if message else None
    if output := body.get("output"):
        return output[0]["content"][0], "text"
    return None


def _decoded(text: object) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None  # it was cut off at its limit, or is plain text
    return value if isinstance(value, dict) else None


def _entries(value: dict[str, Any]) -> list[Entry] | None:
    """The entries of an answer to several records."""
    entries = value.get("records")
    if set(value) != {"records"} or not isinstance(entries, list):
        return None
    good = all(isinstance(each, dict) and set(each) == {"id", "answer"} for each in entries)
    return entries if good else None


def _misfit(answer: object) -> dict[str, Any]:
    """Something that no strict schema of an answer takes: a member short, and one too many."""
    members = dict(list(answer.items())[1:]) if isinstance(answer, dict) else {}
    return members | {"unexpected": True}
