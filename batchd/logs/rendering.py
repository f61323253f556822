"""How an event looks: coloured for a person, JSON for a program, JSON with a level for systemd."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

#: syslog's numbers, which systemd takes from the beginning of a line ("<3>") as its PRIORITY
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

#: bytes of a line: at 48 KiB the journal begins another entry, in the middle of the JSON
LONGEST = 47_000
_SHORT = 600  #: bytes of a value in a line that was too long


def for_stream(format_: str, stream: TextIO, *, target: str = "auto") -> Processor:
    """`auto` is console on a terminal and JSON otherwise."""
    is_console = format_ == "console" or (format_ == "auto" and stream.isatty())
    renderer = _console(in_colour=_wants_colour(stream)) if is_console else as_json
    return _with_levels(renderer) if target == "auto" and _is_journal(stream) else renderer


def as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False)


def _with_levels(renderer: Processor) -> Processor:
    """Put its level before every line: systemd takes it from there, line by line."""

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
        level = f"<{PRIORITIES.get(event['level'], 6)}>"
        text = str(renderer(logger, name, _within_an_entry(event)))
        return "\n".join(f"{level}{line}" for line in text.splitlines())

    return render


def _within_an_entry(event: EventDict) -> EventDict:
    """Shorten what the journal would cut in the middle: its long values, and then what is left."""
    if _size(event) <= LONGEST:
        return event
    short = {
        name: value if _size(value) <= _SHORT else _cut(value) for name, value in event.items()
    }
    kept = dict(list(short.items())[: LONGEST // (2 * _SHORT)])
    return kept | {"cut": "the whole is in var/log/batchd.jsonl"}


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def _cut(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[: _SHORT // 4]}… ({len(text)} characters)"


def _is_journal(stream: TextIO) -> bool:
    """systemd.exec(5): $JOURNAL_STREAM holds device and inode of what leads to the journal."""
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream without a file behind it
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _console(*, in_colour: bool) -> Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=in_colour,
        sort_keys=False,
        timestamp_key="ts",
        pad_event_to=16,  # "shard.uploaded" and its like
    )

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
        return console(logger, name, {**event, "ts": _wall_clock(event["ts"])})

    return render


def _wall_clock(ts: str) -> str:
    """A person compares with the clock on the wall, not with Greenwich's."""
    return datetime.fromisoformat(ts).astimezone().strftime("%H:%M:%S")
