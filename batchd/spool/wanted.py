"""Which names in the inbox are taken, and why another is not. Only names: nothing is looked at.

Right in the inbox lie files of request lines; in the folder of a task whatever that task can read.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from batchd.core.reasons import Reason, ReasonCode, because
from batchd.core.records import Kind, kind_of
from batchd.core.tasks import Task
from batchd.settings import Inbox
from batchd.spool.lacking import library_missing

#: What is taken where nobody says otherwise (`inbox.include`).
INCLUDED = ("*.jsonl", "*.ndjson", "*.jsonl.gz", "*.ndjson.gz")

_TEXTS = ("*.csv", "*.tsv", "*.json", "*.jsonl", "*.ndjson", "*.txt", "*.md")
_PACKED = tuple(f"{pattern}.gz" for pattern in _TEXTS)

#: What is taken from the folder of a task.
TABLES = (*_TEXTS, "*.parquet", "*.xlsx", "*.xlsm", *_PACKED)

#: Names that programs give to what isn't finished, or isn't for us (reference, R53).
IGNORED = (
    "*.part", "*.partial", "*.crdownload", "*.filepart", "*.tmp", "*.download", "*.opdownload",
    "*~", "~$*", "*.swp", "4913", "~syncthing~*", "Thumbs.db", "desktop.ini", "@eaDir",
)  # fmt: skip

READMES = frozenset({"README.txt", "README.md"})  #: `batchd init` writes one, a checkout has one


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all: ten thousand names lie in an inbox and are judged at each look."""
    return re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))


@cache
def _exactly_any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Likewise, where a capital letter makes another name."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


def is_wanted(name: str, ignored: Sequence[str] = (), included: tuple[str, ...] = INCLUDED) -> bool:
    """Whether a name is one to take. Judged before anything is stat'ed: ignored files cost little.

    Names that begin with a dot are nobody's (.tmp/, rsync's .x.AbC123, .syncthing.*).
    """
    # An order to cancel is no job, whatever is included.
    if name.startswith(".") or name.endswith(".cancel"):
        return False
    if not _any_of(included).match(name.lower()):
        return False
    return not _exactly_any_of((*IGNORED, *ignored)).match(name)


@dataclass(frozen=True, slots=True)
class Names:
    """What one folder is to hold: the inbox itself, or a task's in it."""

    included: tuple[str, ...] = INCLUDED
    ignored: tuple[str, ...] = ()
    announced_by: str | None = (
        None  #: what a done file's name ends with; None: nobody waits for one
    )
    task: str = ""  #: whose folder it is
    tasks: tuple[str, ...] = ()  #: which there are: where a table belongs
    kind: Kind | None = None  #: as what a task reads them all; None: each as its name says
    #: What is missing for each kind that was asked about: once for each look at a folder.
    _missing: dict[Kind | None, str | None] = field(default_factory=dict, compare=False)

    @classmethod
    def of_inbox(cls, inbox: Inbox, tasks: Sequence[str] = ()) -> Names:
        """What lies right in the inbox."""
        return cls(inbox.include, inbox.ignore, inbox.announced_by, tasks=tuple(tasks))

    @classmethod
    def of_task(cls, inbox: Inbox, task: Task) -> Names:
        """What lies in a task's folder. Where the task says what it reads, names say nothing."""
        if task.input.format == "auto":
            return cls(TABLES, inbox.ignore, inbox.announced_by, task.name)
        kind = task.input.format
        return cls(("*",), inbox.ignore, inbox.announced_by, task.name, kind=kind)

    @property
    def may_be_wanted(self) -> Callable[[str], object]:
        """What says quickly of a name, in small letters, that it is none to take: it is falsy."""
        return _any_of(self.included).match

    def want(self, name: str) -> bool:
        """Whether a name is one to take."""
        return self._fits(name) and self._lacks(name) is None

    def _fits(self, name: str) -> bool:
        if not is_wanted(name, self.ignored, self.included):
            return False
        return not self.task or not (name in READMES or self._ends_as_done(name))

    def _lacks(self, name: str) -> tuple[Kind, str] | None:
        """Return as what it would be read, and the library for it that is not here."""
        kind = (self.kind or kind_of(name)) if self.task else None
        if kind is None:
            return None
        if kind not in self._missing:
            self._missing[kind] = library_missing(kind)
        library = self._missing[kind]
        return None if library is None else (kind, library)

    def _ends_as_done(self, name: str) -> bool:
        return bool(self.announced_by) and name.endswith(self.announced_by or "")

    def announced(self, name: str) -> str | None:
        """Return the name of the file that a done file speaks of; None where it is no done file."""
        if not self.announced_by or not name.endswith(self.announced_by):
            return None
        spoken_of = name.removesuffix(self.announced_by)
        return spoken_of if self._fits(spoken_of) else None

    def why_not(self, name: str) -> Reason | None:
        """Why a name is not one to take; None for one that is."""
        if self.want(name):
            return None
        if name.startswith("."):
            return because(ReasonCode.HIDDEN)
        for code, patterns in (
            (ReasonCode.TEMPORARY_NAME, IGNORED),
            (ReasonCode.IGNORED_NAME, self.ignored),
        ):
            for pattern in patterns:
                if fnmatch.fnmatchcase(name, pattern):
                    return because(code, pattern=pattern)
        if self._fits(name) and (lack := self._lacks(name)):
            kind, library = lack
            return because(ReasonCode.LIBRARY_MISSING, kind=kind.capitalize(), library=library)
        return self._of_another_kind(name)

    def _of_another_kind(self, name: str) -> Reason:
        if self.task:
            kinds = in_words([p for p in self.included if p not in _PACKED])
            return because(ReasonCode.NOT_A_TABLE, task=self.task, wanted=kinds)
        if is_wanted(name, self.ignored, TABLES) and not is_wanted(name, self.ignored):
            return because(ReasonCode.TABLE_WITHOUT_TASK, tasks=tasks_in_words(self.tasks))
        return because(ReasonCode.NOT_WANTED_NAME, wanted=in_words(self.included))


def in_words(names: Sequence[str], last: str = "or") -> str:
    """A list as people say it."""
    *some, final = names
    return f"{', '.join(some)} {last} {final}" if some else final


def tasks_in_words(tasks: Sequence[str]) -> str:
    """Which tasks there are."""
    if not tasks:
        return "there are no tasks yet: batchd task new"
    return f"there {'is' if len(tasks) == 1 else 'are'} {in_words(tasks, 'and')}"
