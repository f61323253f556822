"""What the daemon finds of itself and its machine, asked where one runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from batchd.cli.local import from_here, say_so
from batchd.control.client import ask
from batchd.core.findings import Finding
from batchd.spool.folders import Folders

LOOKING = 180.0  #: seconds: it may ask the provider, which has a minute, after somebody else did


class _Found(msgspec.Struct):
    findings: list[Finding]


def must_answer(folders: Folders) -> None:
    """Ask something small before what takes its time: one that hangs is not waited for so long.

    Raises what `ask` raises.
    """
    ask(folders, "GET", "standing")


def asking(folders: Folders, *path: str, is_offline: bool) -> Callable[[], Sequence[Finding]]:
    """Return what asks the daemon for what it finds."""
    offline = str(is_offline).lower()

    def asked() -> Sequence[Finding]:
        must_answer(folders)
        found = ask(folders, "GET", *path, offline=offline, kind=_Found, seconds=LOOKING)
        findings: Sequence[Finding] = found.findings
        return findings

    return asked


def found_by_daemon(folders: Folders, *path: str, is_offline: bool) -> Sequence[Finding] | None:
    """Return what the daemon finds; None where none can be asked, and this command has to look."""
    asked = asking(folders, *path, is_offline=is_offline)
    found, note = from_here(asked, lambda: None)
    say_so(note)
    return found
