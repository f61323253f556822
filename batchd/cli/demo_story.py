"""Facts become a story: which stage the file is in, and a sentence for each. No terminal here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STAGES = {
    "claim": "takes the file out of inbox/",
    "plan": "reads it and cuts it into batches",
    "submit": "uploads it and opens the batch",
    "poll": "looks how far the provider is",
    "collect": "fetches the answers and judges each",
    "deliver": "puts one finished folder into outbox/",
}

#: event -> its stage, whether that has done its part, the sentence
_EVENTS = {
    "job.claimed": ("claim", True, "{file} left the inbox and is job {job}"),
    "job.planned": ("plan", True, "{requests} requests, batches: {shards}"),
    "shard.uploaded": ("submit", False, "{bytes} bytes uploaded, {input_file_id}"),
    "batch.opened": ("submit", True, "{batch} is open"),
    "batch.seen": ("poll", False, "{status}: {completed} of {total} answered"),
    "batch.progress": ("poll", False, "{completed} of {total} answered"),
    "batch.ended": ("poll", True, "{status}"),
    "shard.collected": (
        "collect",
        True,
        "{kept} answers kept, {failed} failed, {again} to try again",
    ),
    "job.delivered": ("deliver", True, "outbox/{folder}/ after {seconds} s"),
}
_LOUD = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, and whose it is."""

    stage: str  #: "!" where it is a warning of whoever
    text: str


@dataclass
class Story:
    """How far the file is."""

    details: dict[str, str] = field(default_factory=dict)  #: stage -> its latest sentence
    done: set[str] = field(default_factory=set)
    answered: int = 0
    requests: int = 0
    folder: str | None = None  #: in outbox/, once it is there

    @property
    def is_over(self) -> bool:
        return self.folder is not None

    @property
    def current(self) -> str | None:
        return next((stage for stage in STAGES if stage not in self.done), None)

    def tell(self, fact: Mapping[str, Any]) -> Line | None:
        """The sentence for a fact; None for one that is nobody's concern here."""
        event = str(fact.get("event"))
        if event not in _EVENTS:
            loud = fact.get("level") in _LOUD
            return (
                Line("!", f"{event}: {fact.get('text') or fact.get('reason', '')}")
                if loud
                else None
            )
        stage, is_done, sentence = _EVENTS[event]
        self._note(event, fact)
        if fact.get("total") == 0:
            sentence = "{status}"  # while it validates, the provider counts nothing
        text = self.details[stage] = sentence.format_map(_Spoken(fact))
        if is_done:
            self.done.add(stage)
        return Line(stage, text)

    def _note(self, event: str, fact: Mapping[str, Any]) -> None:
        if event == "job.planned":
            self.requests = fact.get("requests", 0)
        elif event in ("batch.seen", "batch.progress"):
            self.answered = fact.get("completed", 0)
        elif event == "batch.ended":
            self.answered = self.requests
        elif event == "job.delivered":
            self.folder = str(fact.get("folder"))


class _Spoken(dict[str, str]):
    """Facts as a person reads them; one that is missing spoils no demo."""

    def __init__(self, fact: Mapping[str, Any]) -> None:
        super().__init__({name: _spoken(value) for name, value in fact.items()})

    def __missing__(self, name: str) -> str:
        return "?"


def _spoken(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:14]}…"  # the provider's ids are long
