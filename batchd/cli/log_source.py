"""Where the lines of the log come from: the daemon, else its files, else the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from batchd.cli.log_journal import command, entries
from batchd.control.client import NotListening, Refused, ask
from batchd.control.ledger import reading
from batchd.control.log_files import Line, line_of
from batchd.control.log_pages import Pages
from batchd.control.log_subject import Subject
from batchd.control.log_wanted import LEVELS, Wanted
from batchd.control.messages import Logged
from batchd.core.errors import ConfigError
from batchd.spool.folders import Folders

Lines = Iterator[Line | None]

_LOOK_SECONDS = 0.3  #: between two looks at whether something was added: people read slower
_NO_WORD = ("unavailable", "refused")  #: it has no time, or not for this user


@dataclass
class Source:
    """Lines, page by page: of the daemon while one answers, of its files while none does.

    Both are the same function, so that whoever follows a log sees the end of one daemon and the
    beginning of the next.
    """

    folders: Folders
    pages: Pages
    note: str | None = field(default=None, init=False)  #: why it is not the daemon that tells

    def first(self) -> Logged:
        """Return the first page. Raises `NoSuchJob`, `Ambiguous`, `Refused`."""
        return self._page(None)

    def patient(self) -> Source:
        """Return the same for what nobody knows yet."""
        return Source(self.folders, replace(self.pages, is_patient=True))

    def after(self, page: Logged, *, follow: bool) -> Lines:
        """Return the lines of a page and of those after it; None at each look without news."""
        while True:
            yield from filter(None, (line_of(bytes(raw)) for raw in page.lines))
            if not page.more:
                if not follow:
                    return
                yield None
                time.sleep(_LOOK_SECONDS)
            page = self._page(page.after)

    def _page(self, after: str | None) -> Logged:
        try:
            found: Logged = ask(self.folders, "GET", "logs", kind=Logged, **self._asked(after))
            self.note = None
        except NotListening as nobody:
            why = "does not answer" if nobody.is_running else "is not running"
            return self._read(after, f"the daemon {why}; this is from its files")
        except PermissionError:
            return self._read(
                after, "the daemon may not be asked by this user; this is from its files"
            )
        except Refused as refused:
            if refused.code not in _NO_WORD:
                raise
            return self._read(after, f"the daemon says no ({refused}); this is from its files")
        return found

    def _asked(self, after: str | None) -> dict[str, Any]:
        pages = self.pages
        return {
            "word": pages.word,
            "since": pages.since or None,
            "level": LEVELS[pages.level],
            "event": pages.pattern,
            "limit": pages.most,
            "patient": str(pages.is_patient).lower(),
            "after": after,
        }

    def _read(self, after: str | None, note: str) -> Logged:
        self.note = note
        # A ledger that is damaged is no reason to hide the log that says so.
        with suppress(ConfigError, OSError), reading(self.folders.database) as reader:
            return self.pages.page(self.folders.log, reader, after=after)
        return self.pages.page(self.folders.log, None, after=after)


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal, for a daemon that writes nowhere else."""

    folders: Folders
    pages: Pages

    @property
    def is_there(self) -> bool:
        """Whether this system has one."""
        return command(since=None, follow=False) is not None

    def lines(self, *, follow: bool, is_patient: bool) -> Lines:
        """Return the lines that are wanted. Raises `NoSuchJob` and `Ambiguous`."""
        pages = self.pages
        subject = self._subject(is_patient=is_patient) if pages.word else None
        wanted = Wanted(subject, pages.since, pages.level, pages.pattern)
        return (line for line in self._all(follow=follow) if wanted.has(line))

    def _subject(self, *, is_patient: bool) -> Subject:
        subject = Subject(self.pages.word or "")
        with suppress(ConfigError, OSError), reading(self.folders.database) as reader:
            subject.ask(reader)
        if not subject.is_known:
            subject.read(self._all(follow=False))
        if not is_patient or len(subject.possible) > 1:
            subject.must_be_one()
        return subject

    def _all(self, *, follow: bool) -> Iterator[Line]:
        asked = command(since=self.pages.since or None, follow=follow)
        return entries(asked) if asked else iter(())
