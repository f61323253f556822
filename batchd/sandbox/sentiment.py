"""A classification by sentiment answers with one of its labels, so that a demo looks real."""

from __future__ import annotations

import re

_LABELS = ("positive", "negative", "neutral")
_GOOD = frozenset(
    [
        "good",
        "great",
        "excellent",
        "love",
        "loved",
        "loves",
        "like",
        "best",
        "delicious",
        "perfect",
        "amazing",
        "wonderful",
        "nice",
        "tasty",
        "happy",
        "favorite",
        "fantastic",
        "recommend",
        "quality",
        "fresh",
        "awesome",
        "pleased",
        "enjoy",
        "enjoyed",
    ]
)
_BAD = frozenset(
    [
        "bad",
        "terrible",
        "awful",
        "hate",
        "hated",
        "worst",
        "disappointed",
        "disappointing",
        "poor",
        "stale",
        "broken",
        "horrible",
        "never",
        "waste",
        "refund",
        "disgusting",
        "wrong",
        "bland",
        "unhappy",
        "nasty",
        "return",
        "returned",
        "damaged",
        "not",
    ]
)
_WORD = re.compile(r"[a-z']+")


def label_for(system: str, asked: str) -> str | None:
    """The label the text deserves, spelled as the system prompt spells it; None if none is asked."""
    labels = {label: found for label in _LABELS if (found := _spelling(system, label))}
    if not {"positive", "negative"} <= set(labels):
        return None
    score = _score(asked)
    wanted = "positive" if score > 0 else "negative" if score < 0 else "neutral"
    return labels.get(wanted, labels["positive"])


def _score(text: str) -> int:
    words = _WORD.findall(text.lower())
    return sum((word in _GOOD) - (word in _BAD) for word in words)


def _spelling(system: str, label: str) -> str | None:
    match = re.search(rf"\b{label}\b", system, re.IGNORECASE)
    return match.group() if match else None
