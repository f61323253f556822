"""What `doctor` looks at, and who looks: the daemon as its own user, and whoever asks as themselves."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from batchd import __version__
from batchd.control import machine
from batchd.control.presence import presence
from batchd.control.trying import as_itself, permissions
from batchd.core.findings import Finding, ok, warning, wrong
from batchd.spool.folders import Folders
from batchd.spool.users import name_of

if TYPE_CHECKING:
    from batchd.runtime.services import Checks


def by_daemon(checks: Checks, folders: Folders, *, is_offline: bool) -> Iterator[Finding]:
    """Look at what the daemon knows best: its settings and key, and what its user may do."""
    yield from machine.versions()
    yield from checks.all(is_offline=is_offline)
    if machine.sees_limits():
        yield from machine.inotify()
    yield from machine.file_systems(folders)
    yield from as_itself(folders)
    yield from machine.groups(folders)
    yield from machine.clocks(folders)


def by_asker(folders: Folders, found: Sequence[Finding] = ()) -> Iterator[Finding]:
    """Look at what a command knows best: who asks, the unit, and whether the daemon answers.

    And at what the daemon could not see, as `found` tells.
    """
    yield from you(folders)
    if "inotify" not in {one.stage for one in found}:
        yield from _watched_by(folders)
    yield from machine.unit()
    yield from machine.kept_right()
    yield from machine.daemon(folders)
    yield from same_version(folders)


def alone(checks: Checks, folders: Folders | None, *, is_offline: bool) -> Iterator[Finding]:
    """Look at all of it from here, where no daemon can be asked; without a root, at the rest."""
    yield from machine.versions()
    yield from checks.all(is_offline=is_offline)
    yield from machine.inotify()
    yield from machine.unit()
    yield from machine.kept_right()
    if folders is None:
        return
    yield from you(folders)
    yield from machine.file_systems(folders)
    yield from permissions(folders)
    yield from machine.groups(folders)
    yield from machine.clocks(folders)
    yield from machine.ledger(folders)
    yield from machine.daemon(folders)


def you(folders: Folders) -> Iterator[Finding]:
    """Look whether who asks may drop files."""
    if not _is_seen(folders):
        return  # nothing is there, or not for them: that is told of the folders
    name, places = name_of(os.getuid()), (folders.inbox, folders.staging)
    if all(os.access(place, os.W_OK | os.X_OK) for place in places):
        yield ok("you", f"{name} may drop files into {folders.inbox}")
        return
    group = _group_of(folders)
    if name in _members(group):
        text = f"{name} is in the group {group}, and was not yet when this session began"
        yield warning("you", text, f"log in again, or: newgrp {quote(group)}")
        return
    fix = f"usermod -aG {quote(group)} {quote(name)}, then log in again"
    yield wrong("you", f"{name} may not drop files into {folders.inbox}", fix)


def _watched_by(folders: Folders) -> Iterator[Finding]:
    """Look at the limits for the daemon's user; whoever is neither they nor root sees nothing."""
    owner = folders.var.stat().st_uid
    if os.getuid() in (0, owner) and machine.sees_limits():
        yield from machine.inotify(owner)


def _is_seen(folders: Folders) -> bool:
    try:
        return folders.inbox.is_dir()
    except OSError:
        return False


def _group_of(folders: Folders) -> str:
    gid = folders.inbox.stat().st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _members(group: str) -> list[str]:
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def same_version(folders: Folders) -> Iterator[Finding]:
    """Look whether the daemon is of the same version as the command."""
    there = presence(folders)
    if there.is_running and there.version not in (__version__, "unknown"):
        text = f"the daemon is batchd {there.version}, and this command {__version__}"
        yield warning(
            "versions", text, "restart it: systemctl restart batchd, where it is a service"
        )
