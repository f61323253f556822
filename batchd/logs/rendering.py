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


def for_stream(format_: str, stream: TextIO) -> Processor:
    """`auto` is console on a terminal and JSON otherwise."""
    if format_ == "console" or (format_ == "auto" and stream.isatty()):
        return _console(in_colour=_wants_colour(stream))
    return _for_journal if _is_journal(stream) else as_json


def as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False)


def _for_journal(logger: WrappedLogger, name: str, event: EventDict) -> str:
    return f"<{PRIORITIES.get(event['level'], 6)}>{as_json(logger, name, event)}"


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
