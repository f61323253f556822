"""What a report of a problem is made of, without anything that is somebody's."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import msgspec

from batchd import __version__
from batchd.control.blinding import blind
from batchd.control.messages import SCHEMA, Message
from batchd.control.views import DEFAULT
from batchd.core.findings import Finding

MOST_LINES = 2_000
_HERE = (
    "folders.root"  #: a path of this machine, whoever has set it: its default is where one stands
)
MARKED = "somebody made a report of a problem"


class Report(Message, frozen=True):
    """All of it. Names and texts are taken out; what could not be had is absent."""

    marker: str  #: the same in the log, at the time the report was made
    made: dict[str, Any]  #: when, by whom, and which versions are at work
    doctor: list[dict[str, Any]]
    settings: list[dict[str, Any]] | None = None
    ledger: dict[str, Any] | None = None
    log: list[dict[str, Any]] | None = None  #: its last lines
    schema: int = SCHEMA

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield what lies in the archive."""
        yield "report.json", _as_json(self.made)
        for name in ("doctor", "settings", "ledger"):
            if (part := getattr(self, name)) is not None:
                yield f"{name}.json", _as_json(part)
        if self.log is not None:
            yield "log.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in self.log)


def versions() -> dict[str, str]:
    """Which versions are at work."""
    return {
        "batchd": __version__,
        "python": platform.python_version(),
        "openai": version_of("openai"),
        "sqlite": sqlite3.sqlite_version,
    }


def report_of(
    marker: str,
    found: Sequence[Finding],
    *,
    source: str,
    settings: Mapping[str, Any] | None = None,
    ledger: Mapping[str, Any] | None = None,
    log: Path | None = None,
) -> Report:
    """Put a report together. `settings` as `config show --json` has them."""
    at = datetime.now(UTC).isoformat()
    return Report(
        marker=marker,
        made={"marker": marker, "at": at, "versions": versions(), "source": source},
        doctor=[blind(told) | {"result": told["result"]} for told in map(asdict, found)],
        settings=None if settings is None else [_setting(one) for one in settings["settings"]],
        ledger=None if ledger is None else dict(ledger),
        log=None if log is None else list(_log(log)),
    )


def _setting(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and switches are told; a path or an address is its owner's."""
    is_default = setting["origin"] == DEFAULT
    is_told = is_default and setting["name"] != _HERE
    value = setting["value"] if is_told else blind(setting["value"])
    return {"name": setting["name"], "is_default": is_default, "value": value}


def _log(log: Path) -> Iterator[dict[str, Any]]:
    """The last lines, from the older file too where the log was just put aside."""
    lines: deque[bytes] = deque(maxlen=MOST_LINES)
    for file in (log.with_name(f"{log.name}.1"), log):
        # What is not there, or not for whoever asks, is not in their report.
        with suppress(OSError), file.open("rb") as opened:
            lines.extend(opened)
    for line in lines:
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # half a line, or nobody's
        if isinstance(event, dict):
            yield blind(event)


def _as_json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
