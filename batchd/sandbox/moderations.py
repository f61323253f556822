"""`/v1/moderations`: scores that belong to the text; a few plain words are flagged (reference H)."""

from __future__ import annotations

import re
from typing import Any

from batchd.sandbox.digests import digest_of, share_of
from batchd.sandbox.members import missing

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_FLAGS = {
    "violence": re.compile(r"\b(kill|murder|shoot|stab|bomb)\w*\b", re.IGNORECASE),
    "hate": re.compile(r"\bhate (them|those people)\b", re.IGNORECASE),
    "harassment": re.compile(r"\b(idiot|stupid)\b", re.IGNORECASE),
}


def moderations(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input")
    if given is None:
        raise missing("input")
    texts = given if isinstance(given, list) and _all_strings(given) else [given]
    return {
        "id": f"modr-{digest_of(body)[:24]}",
        "model": body.get("model") or "omni-moderation-latest",
        "results": [_result(_as_text(text)) for text in texts],
    }


def _all_strings(given: list[Any]) -> bool:
    return all(isinstance(each, str) for each in given)


def _as_text(given: object) -> str:
    """Text as it is; of a list of parts, their texts."""
    if isinstance(given, list):
        return " ".join(str(part.get("text") or "") for part in given if isinstance(part, dict))
    return given if isinstance(given, str) else ""


def _result(text: str) -> dict[str, Any]:
    flags = {name: name in _FLAGS and bool(_FLAGS[name].search(text)) for name in _CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: _score(name, text, flagged) for name, flagged in flags.items()},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }


def _score(category: str, text: str, flagged: bool) -> float:
    draw = share_of(category, text)
    return round(0.7 + draw * 0.29 if flagged else draw * 0.05, 6)
