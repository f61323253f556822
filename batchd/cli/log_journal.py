"""The journal as lines, by systemd's own program: for a daemon that writes nowhere else."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from batchd.control.log_files import Line, line_of

_LEVELS = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
_OURS = "BATCHD_"


def command(*, since: float | None, follow: bool) -> Sequence[str] | None:
    """Return what asks the journal for a daemon's lines; None where there is no journal."""
    program = shutil.which("journalctl")
    if program is None:
        return None
    asked = [program, "--output=json", "--no-pager", "--quiet", "--identifier=batchd"]
    if since is not None:
        asked.append(f"--since=@{since:.6f}")
    return [*asked, "--follow", "--no-tail"] if follow else asked


def entries(asked: Sequence[str]) -> Iterator[Line]:
    """Return what it prints, line by line. It ends with us."""
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as journal:
        try:
            for raw in journal.stdout or ():
                if line := entry_of(raw):
                    yield line
        finally:
            with contextlib.suppress(ProcessLookupError):
                journal.terminate()


def entry_of(raw: bytes) -> Line | None:
    """Read an entry: our JSON in its message, or our fields beside it."""
    entry = line_of(raw)
    if entry is None:
        return None
    message = _text(entry.facts.get("MESSAGE"))
    if (ours := line_of(message.encode())) and "event" in ours.facts:
        return ours
    facts = {"ts": _moment(entry.facts), "level": _level(entry.facts), "event": message}
    facts |= {
        name.removeprefix(_OURS).lower(): _text(value)
        for name, value in entry.facts.items()
        if name.startswith(_OURS)
    }
    return Line(msgspec.json.encode(facts), facts)


def _text(value: Any) -> str:
    """A field that is no plain text comes as a list of bytes; one that is too long, as null."""
    if isinstance(value, list):
        numbers = [n for n in value if isinstance(n, int) and 0 <= n <= 255]
        return bytes(numbers).decode("utf-8", "replace")
    return "" if value is None else str(value)


def _level(entry: dict[str, Any]) -> str:
    priority = str(entry.get("PRIORITY", "6"))
    return _LEVELS[int(priority)] if priority in "01234567" else "info"


def _moment(entry: dict[str, Any]) -> str:
    micro = str(entry.get("__REALTIME_TIMESTAMP", "0"))
    moment = datetime.fromtimestamp(int(micro) / 1e6 if micro.isdecimal() else 0, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
