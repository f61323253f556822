"""`batchd bugreport`: what a report of a problem needs, without anything that is yours."""

from __future__ import annotations

import io
import json
import os
import secrets
import tarfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from batchd.cli.blinding import blind
from batchd.cli.config import shown_settings
from batchd.cli.config_checks import Checks
from batchd.cli.doctor import findings
from batchd.cli.exits import complain
from batchd.cli.options import settings_options
from batchd.cli.version import versions
from batchd.control.ledger import reading
from batchd.core.errors import ConfigError
from batchd.core.names import printable
from batchd.spool.folders import Folders

MOST_LINES = 2_000
_TEXT = "somebody made a report of a problem"


@click.command()
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write it there instead of batchd-bugreport-MARKER.tar.gz.",
)
@settings_options
def bugreport(config: Path | None, overrides: tuple[str, ...], output: Path | None) -> None:
    """Gather what a report of a problem needs, without prompts, names or keys.

    Versions, settings, what `batchd doctor` finds, the ledger's schema and counts, and the last
    2,000 lines of the log. The marker is written into the log, too, so that both can be matched.
    Look into it before you send it: it is plain text.
    """
    marker = f"bug-{secrets.token_hex(4)}"
    path = output or Path(f"batchd-bugreport-{marker}.tar.gz")
    checks = Checks(config, overrides, os.environ)
    with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in _parts(checks, marker):
            _add(archive, f"{marker}/{name}", content)
    click.echo(f"{marker}  {printable(str(path))}")
    complain("look into it before you send it; names and texts are taken out, and nothing is sent")


def _parts(checks: Checks, marker: str) -> Iterator[tuple[str, bytes]]:
    # First of all: the findings are what load the settings.
    found = [asdict(finding) for finding in findings(checks, is_offline=True)]
    made = {"marker": marker, "at": datetime.now(UTC).isoformat(), "versions": versions()}
    yield "report.json", _as_json(made)
    yield "doctor.json", _as_json([blind(one) | {"result": one["result"]} for one in found])
    if checks.loaded is None:
        return
    folders = Folders(checks.loaded.settings.folders.root.resolve())
    _mark(folders, marker)
    settings = shown_settings(checks.loaded)["settings"]
    yield "settings.json", _as_json([_setting(one) for one in settings])
    yield "ledger.json", _as_json(_ledger(folders))
    yield "log.jsonl", b"".join(_log(folders.log))


def _setting(setting: dict[str, Any]) -> dict[str, Any]:
    """Numbers and switches are told; a path or an address is its owner's."""
    is_default = setting["origin"] == "the default"
    return {
        "name": setting["name"],
        "is_default": is_default,
        "value": setting["value"] if is_default else blind(setting["value"]),
    }


def _ledger(folders: Folders) -> dict[str, Any]:
    """Return how the ledger is made and how much is in it; of one that can't be read, why."""
    try:
        with reading(folders.database) as reader:
            return reader.anatomy()
    except (OSError, ConfigError) as error:
        return {"trouble": type(error).__name__}


def _mark(folders: Folders, marker: str) -> None:
    """One line, at once, at the end of whatever the log is: the daemon's own are written so, too."""
    line = {"ts": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    line |= {"level": "info", "event": "bugreport.made", "marker": marker, "text": _TEXT}
    try:
        descriptor = os.open(folders.log, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        complain(f"{folders.log}: {error.strerror}; the marker is in the report only")
        return
    with os.fdopen(descriptor, "ab", buffering=0) as log:
        log.write(json.dumps(line).encode() + b"\n")


def _log(log: Path) -> Iterator[bytes]:
    """The last lines, from the older file too where the log was just put aside."""
    lines: deque[bytes] = deque(maxlen=MOST_LINES)
    for file in (log.with_name(f"{log.name}.1"), log):
        if file.is_file():
            with file.open("rb") as opened:
                lines.extend(opened)
    for line in lines:
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # half a line, or nobody's
        yield json.dumps(blind(event)).encode() + b"\n"


def _as_json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    archive.addfile(member, io.BytesIO(content))
