"""`batchd bugreport`: what a report of a problem needs, without anything that is yours."""

from __future__ import annotations

import io
import json
import os
import secrets
import tarfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from batchd.cli.exits import complain
from batchd.cli.house import LOOKING, must_answer
from batchd.cli.local import from_here, say_so
from batchd.cli.options import settings_options
from batchd.configuration import Loaded
from batchd.configuration.checks import Checks
from batchd.control import doctor
from batchd.control.client import ask
from batchd.control.ledger import reading
from batchd.control.report import MARKED, Report, report_of
from batchd.control.views import config_as_dict
from batchd.core.errors import ConfigError
from batchd.core.findings import COMMAND
from batchd.core.names import printable
from batchd.spool.folders import Folders


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
    2,000 lines of the log: the daemon's own, where one runs. The marker is written into the log,
    too, so that both can be matched. Look into it before you send it: it is plain text.
    """
    checks = Checks(config, overrides, os.environ, Path.cwd())
    report, note = _made(checks)
    say_so(note)
    path = output or Path(f"batchd-bugreport-{report.marker}.tar.gz")
    with path.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in report.files():
            _add(archive, f"{report.marker}/{name}", content)
    click.echo(f"{report.marker}  {printable(str(path))}")
    complain("look into it before you send it; names and texts are taken out, and nothing is sent")


def _made(checks: Checks) -> tuple[Report, str | None]:
    list(checks.values())  # what loads the settings, and says whose root it is
    if checks.loaded is None:
        return _here(checks, None), None
    folders = Folders(checks.loaded.settings.folders.root.resolve())

    def asked() -> Report:
        must_answer(folders)
        report: Report = ask(folders, "POST", "bugreport", kind=Report, seconds=LOOKING)
        return report

    return from_here(asked, partial(_here, checks, folders))


def _here(checks: Checks, folders: Folders | None) -> Report:
    marker = f"bug-{secrets.token_hex(4)}"
    found = list(doctor.alone(checks, folders, is_offline=True))
    if folders is None or checks.loaded is None:
        return report_of(marker, found, source=COMMAND)
    _mark(folders, marker)
    return report_of(
        marker,
        found,
        settings=_settings(checks.loaded),
        ledger=_ledger(folders),
        log=folders.log,
        source=COMMAND,
    )


def _settings(loaded: Loaded) -> dict[str, Any]:
    return config_as_dict(loaded.settings, loaded.provenance(os.environ), source=COMMAND)


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
    line |= {"level": "info", "event": "bugreport.made", "marker": marker, "text": MARKED}
    try:
        descriptor = os.open(folders.log, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        complain(f"{folders.log}: {error.strerror}; the marker is in the report only")
        return
    with os.fdopen(descriptor, "ab", buffering=0) as log:
        log.write(json.dumps(line).encode() + b"\n")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    archive.addfile(member, io.BytesIO(content))
