"""The one reason of whatever lies in the inbox, from what can be seen and what the daemon left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from batchd.control.presence import Presence
from batchd.core.model import Pause
from batchd.core.names import is_task_name, shown
from batchd.core.reasons import Reason, ReasonCode, because
from batchd.core.tasks import Task
from batchd.settings import Inbox
from batchd.spool.bulletin import FileSeen, InboxSeen, name_in_json, reason_in
from batchd.spool.orders import job_to_cancel
from batchd.spool.users import name_of
from batchd.spool.wanted import READMES, Names, tasks_in_words

if TYPE_CHECKING:  # for its templates it needs a library that few who ask have a use for
    from batchd.spool.recipes import Broken, Recipes

STAGING = ".tmp"  #: where programs write before they rename


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
    folder: str = ""  #: in the inbox, where it lies in one: a task's, if it is anybody's

    @property
    def below(self) -> str:
        """Where it lies below the inbox."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @classmethod
    def of(cls, path: Path, folder: str = "") -> Entry:
        """Look, without following or opening anything. Raises `FileNotFoundError`."""
        status = path.lstat()
        return cls(
            name=path.name,
            kind=_kind(status.st_mode),
            size=status.st_size,
            mode=stat.S_IMODE(status.st_mode),
            owner=status.st_uid,
            changed_at=status.st_ctime,
            folder=folder,
        )


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.SPECIAL


def entries(inbox: Path, tasks: Sequence[str]) -> Iterator[Entry]:
    """Look at everything in the inbox and in the folders in it.

    But not at the folder for programs, nor at what explains a folder; nor at the folders of these
    tasks themselves, which are to be there.
    """
    for entry in _entries(inbox):
        inside = list(_inside(inbox, entry))
        yield from inside
        # A folder that is nobody's is told of by what lies in it, if anything does.
        if not inside and not (entry.kind is Kind.DIRECTORY and entry.name in tasks):
            yield entry


def _entries(folder: Path, below: str = "") -> Iterator[Entry]:
    for path in folder.iterdir():
        try:
            if path.name not in READMES and (below or path.name != STAGING):
                yield Entry.of(path, below)
        except FileNotFoundError:
            continue  # taken, or taken back, since it was listed


def _inside(inbox: Path, entry: Entry) -> Iterator[Entry]:
    if entry.kind is Kind.DIRECTORY and not entry.name.startswith("."):
        with suppress(OSError):  # not for this user, or gone
            yield from _entries(inbox / entry.name, entry.name)


@dataclass(frozen=True, slots=True)
class Rules:
    """What everything in the inbox is judged by."""

    inbox: Inbox
    recipes: Recipes
    daemon: Presence
    now: float
    _known: dict[str, tuple[Names, Reason | None]] = field(default_factory=dict)

    def names_in(self, folder: str) -> tuple[Names, Reason | None]:
        """As `names_in`, once for each folder: ten thousand files may lie in one."""
        if folder not in self._known:
            self._known[folder] = names_in(folder, self.inbox, self.recipes)
        return self._known[folder]


def names_in(folder: str, inbox: Inbox, recipes: Recipes) -> tuple[Names, Reason | None]:
    """What a folder in the inbox is to hold, and what else keeps its files waiting; "" is the inbox
    itself.
    """
    if not folder:
        return Names.of_inbox(inbox, recipes.names()), None
    task = recipes.get(folder)
    if isinstance(task, Task):
        return Names.of_task(inbox, task), None
    anything = Names(("*",), inbox.ignore, inbox.announced_by, folder)
    return anything, _hindrance(folder, task, recipes.names())


def _hindrance(folder: str, task: Broken | None, tasks: Sequence[str]) -> Reason:
    if task is not None:
        return because(ReasonCode.TASK_BROKEN, task=folder, problem=str(task))
    if not is_task_name(folder):
        return because(ReasonCode.SUBFOLDER_WITHOUT_TASK, subfolder=shown(os.fsencode(folder)))
    alike = get_close_matches(folder, tasks, n=1)
    told = f"perhaps {alike[0]} is meant" if alike else tasks_in_words(tasks)
    return because(ReasonCode.TASK_MISSING, task=shown(os.fsencode(folder)), tasks=told)


def reason_of(entry: Entry, rules: Rules) -> Reason:
    """Judge one thing in the inbox: by its kind and name, else by what the daemon saw of it."""
    names, hindrance = rules.names_in(entry.folder)
    by_name = names.why_not(entry.name)
    if by_name is not None and by_name.code is ReasonCode.HIDDEN:
        return by_name
    if entry.kind is not Kind.FILE:
        return _no_file(entry, rules)
    if entry.folder and entry.name in READMES:
        return because(ReasonCode.OWN)
    if spoken_of := names.announced(entry.name):
        return because(ReasonCode.DONE_FILE, name=shown(os.fsencode(spoken_of)))
    is_order = job_to_cancel(entry.name) and not entry.size
    if by_name is not None and not is_order:
        return by_name
    if hindrance is not None and not (is_order and hindrance.code is ReasonCode.TASK_BROKEN):
        return hindrance
    if not rules.daemon.is_running:
        return because(ReasonCode.NOT_RUNNING)
    return _as_seen(entry, inbox=rules.inbox, daemon=rules.daemon, now=rules.now)


def _no_file(entry: Entry, rules: Rules) -> Reason:
    is_folder = entry.kind is Kind.DIRECTORY and not entry.folder
    if is_folder and entry.name in rules.recipes.names():
        return because(ReasonCode.OWN)
    return because(_NOT_TAKEN[entry.kind])


def named_by(reason: Reason, pauses: Mapping[Pause, str]) -> Reason:
    """Say who paused the intake, where that is what a file waits for."""
    if reason.code is not ReasonCode.PAUSED:
        return reason
    return because(ReasonCode.PAUSED, by=pauses.get(Pause.INTAKE, "somebody"))


def _as_seen(entry: Entry, *, inbox: Inbox, daemon: Presence, now: float) -> Reason:
    silent = _silent(entry, daemon=daemon, now=now)
    seen = daemon.inbox.files.get(name_in_json(entry.below)) if daemon.inbox else None
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
        case (
            ReasonCode.LAST_LINE_CUT
            | ReasonCode.GZIP_BROKEN
            | ReasonCode.END_MISSING
            | ReasonCode.LAST_LINE_OPEN
        ):
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
