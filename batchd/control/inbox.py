"""The one reason of whatever lies in the inbox, from what can be seen and what the daemon left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from batchd.control.presence import Presence
from batchd.core.model import Pause
from batchd.core.names import shown
from batchd.core.reasons import Reason, ReasonCode, because
from batchd.settings import Inbox
from batchd.spool.bulletin import FileSeen, InboxSeen, name_in_json, reason_in
from batchd.spool.inbox import announces, unwanted
from batchd.spool.orders import job_to_cancel
from batchd.spool.users import name_of

STAGING = ".tmp"  #: where programs write before they rename
READMES = frozenset({"README.txt", "README.md"})  #: `batchd init` writes one, a checkout has one


class Kind(StrEnum):
    """What lstat says a thing is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    SPECIAL = "special-file"


_NOT_TAKEN = {
    Kind.DIRECTORY: ReasonCode.DIRECTORY,
    Kind.SYMLINK: ReasonCode.SYMLINK,
    Kind.SPECIAL: ReasonCode.SPECIAL_FILE,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the inbox, as lstat says."""

    name: str
    kind: Kind
    size: int
    mode: int
    owner: int
    changed_at: float  #: ctime

    @classmethod
    def of(cls, path: Path) -> Entry:
        """Look, without following or opening anything. Raises `FileNotFoundError`."""
        status = path.lstat()
        return cls(
            name=path.name,
            kind=_kind(status.st_mode),
            size=status.st_size,
            mode=stat.S_IMODE(status.st_mode),
            owner=status.st_uid,
            changed_at=status.st_ctime,
        )


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.SPECIAL


def entries(inbox: Path) -> Iterator[Entry]:
    """Look at everything in the inbox but the folder for programs and what explains it."""
    for path in inbox.iterdir():
        try:
            if path.name != STAGING and path.name not in READMES:
                yield Entry.of(path)
        except FileNotFoundError:
            continue  # taken, or taken back, since it was listed


def reason_of(entry: Entry, *, inbox: Inbox, daemon: Presence, now: float) -> Reason:
    """Judge one thing in the inbox: by its kind and name, else by what the daemon saw of it."""
    by_name = unwanted(entry.name, inbox.ignore, inbox.include)
    if by_name is not None and by_name.code is ReasonCode.HIDDEN:
        return by_name
    if entry.kind is not Kind.FILE:
        return because(_NOT_TAKEN[entry.kind])
    if spoken_of := announces(entry.name, inbox.announced_by, inbox.ignore, inbox.include):
        return because(ReasonCode.DONE_FILE, name=shown(os.fsencode(spoken_of)))
    if by_name is not None and not (job_to_cancel(entry.name) and not entry.size):
        return by_name
    if not daemon.is_running:
        return because(ReasonCode.NOT_RUNNING)
    return _as_seen(entry, inbox=inbox, daemon=daemon, now=now)


def named_by(reason: Reason, pauses: Mapping[Pause, str]) -> Reason:
    """Say who paused the intake, where that is what a file waits for."""
    if reason.code is not ReasonCode.PAUSED:
        return reason
    return because(ReasonCode.PAUSED, by=pauses.get(Pause.INTAKE, "somebody"))


def _as_seen(entry: Entry, *, inbox: Inbox, daemon: Presence, now: float) -> Reason:
    silent = _silent(entry, daemon=daemon, now=now)
    seen = daemon.inbox.files.get(name_in_json(entry.name)) if daemon.inbox else None
    if silent > 2 * inbox.scan_seconds + 1:
        return because(ReasonCode.NOT_LOOKED, silent_seconds=silent)
    if seen is None:
        code = _of_the_unnamed(daemon.inbox) if daemon.inbox else ReasonCode.NEW
        return because(code, scan_seconds=inbox.scan_seconds)
    if seen.size != entry.size:
        return because(
            ReasonCode.GROWING, size_bytes=entry.size, settle_seconds=inbox.settle_seconds
        )
    return _with_facts(reason_in(seen.reason) or ReasonCode.NEW, entry, seen, inbox=inbox, now=now)


def _of_the_unnamed(seen: InboxSeen) -> ReasonCode:
    """What a file that the list does not name has: in a storm, the reason why nothing is taken."""
    is_whole = len(seen.files) == sum(seen.counts.values())
    stopped = None if is_whole else reason_in(seen.stopped or "")
    return stopped or ReasonCode.NEW


def _silent(entry: Entry, *, daemon: Presence, now: float) -> float:
    """Seconds in which the daemon did not look: it leaves no list only where nothing waits."""
    if daemon.looked_ago is not None:
        return daemon.looked_ago
    return now - max(entry.changed_at, daemon.since or 0.0)


def _with_facts(
    code: ReasonCode, entry: Entry, seen: FileSeen, *, inbox: Inbox, now: float
) -> Reason:
    facts: dict[str, object] = {"size_bytes": entry.size, "quiet_seconds": max(now - seen.since, 0)}
    match code:
        case ReasonCode.GROWING | ReasonCode.SETTLING:
            facts["settle_seconds"] = inbox.settle_seconds
        case ReasonCode.EMPTY:
            facts["grace_seconds"] = inbox.empty_grace_seconds
        case ReasonCode.LAST_LINE_CUT | ReasonCode.GZIP_BROKEN:
            facts["grace_seconds"] = inbox.cut_grace_seconds
        case ReasonCode.NO_DONE_FILE:
            facts["done"] = shown(os.fsencode(entry.name + inbox.done_suffix))
        case ReasonCode.NO_PERMISSION:
            facts |= {"owner": str(entry.owner), "mode": f"{entry.mode:04o}"}
        case ReasonCode.CANCEL_UNKNOWN | ReasonCode.CANCEL_REFUSED:
            facts |= {"job": job_to_cancel(entry.name), "owner": name_of(entry.owner)}
        case ReasonCode.NEW:
            facts["scan_seconds"] = inbox.scan_seconds
        case _:
            pass
    return because(code, **facts)
