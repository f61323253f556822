"""The log, some lines at a time: what they are of, where they end, and how one goes on from there.

Asked inside the daemon and, where none runs, by the command itself: whoever follows a log goes on
with the one when the other is gone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from batchd.control.ledger import Reader
from batchd.control.log_files import Line, Position, is_there, lines_after
from batchd.control.log_subject import Subject
from batchd.control.log_wanted import Wanted
from batchd.control.messages import Logged
from batchd.core.errors import BatchdError

MOST = 5_000  #: lines in one answer
USUAL = 1_000
_MOST_BYTES = 4_000_000  #: of the log looked at for one answer: a thirtieth of a second
_MOST_LEARNED = 200  #: ids carried from one question to the next, in an address of some kilobytes


class NoCursor(BatchdError):
    """A word to go on from that no answer has given."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where somebody has read to, and what they have learned on the way. Opaque to whoever asks."""

    at: Position | None = None
    jobs: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it as a word."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def of(cls, word: str) -> Cursor:
        """Read a word. Raises `NoCursor`."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(word + "=="), type=cls)
        except (ValueError, binascii.Error) as error:
            raise NoCursor("`after` is no word that an answer has given") from error


@dataclass(frozen=True, slots=True)
class Pages:
    """A question for lines of the log; what is wanted does not change from page to page."""

    word: str | None = None  #: a job, file or batch
    since: float = 0.0
    level: int = 0
    pattern: str | None = None
    most: int = USUAL
    is_patient: bool = False  #: what nobody knows yet may come

    def page(
        self,
        log: Path,
        reader: Reader | None,
        *,
        after: str | None,
        pause: Callable[[], None] = lambda: None,
    ) -> Logged:
        """Return the lines after a place. Raises `NoSuchJob`, `Ambiguous`, `NoCursor`."""
        cursor = Cursor.of(after) if after else None
        subject = self._subject(log, reader, cursor, pause) if self.word else None
        wanted = Wanted(subject, self.since, self.level, self.pattern)
        read = _Read(cursor.at if cursor else None)
        read.on(lines_after(log, read.to, pause=pause), wanted, most=self.most)
        return Logged(
            lines=tuple(msgspec.Raw(line.raw) for line in read.found),
            after=str(_learned(read.to, subject)),
            more=read.is_cut_short,
            is_there=is_there(log),
        )

    def _subject(
        self, log: Path, reader: Reader | None, cursor: Cursor | None, pause: Callable[[], None]
    ) -> Subject:
        """Find what the word means: by the ledger where it can be read, else by the log's lines."""
        subject = Subject(self.word or "")
        if reader is not None:
            subject.ask(reader)
        if cursor is not None:  # what came before was looked at, and is remembered
            subject.recall(cursor.jobs, cursor.batches)
            return subject
        if not subject.is_known:
            subject.read(_all(log, pause))
        if not self.is_patient or len(subject.possible) > 1:
            subject.must_be_one()
        return subject


class _Read:
    """What was found, and how far was read."""

    def __init__(self, at: Position | None) -> None:
        self.to = at
        self.found: list[Line] = []
        self.is_cut_short = False

    def on(
        self, lines: Iterable[tuple[Line | None, Position]], wanted: Wanted, *, most: int
    ) -> None:
        """Read on until there is enough for one answer, or no more."""
        looked = 0
        for line, self.to in lines:
            if line is None:
                continue
            looked += len(line.raw)
            if wanted.has(line):
                self.found.append(line)
            if len(self.found) >= most or looked >= _MOST_BYTES:
                self.is_cut_short = True
                return


def _all(log: Path, pause: Callable[[], None]) -> Iterator[Line]:
    return (line for line, _ in lines_after(log, None, pause=pause) if line)


def _learned(place: Position | None, subject: Subject | None) -> Cursor:
    jobs, batches = subject.learned if subject is not None else ((), ())
    return Cursor(place, jobs[:_MOST_LEARNED], batches[:_MOST_LEARNED])
