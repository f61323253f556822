"""Compressed files (*.gz), read as what is in them; what they promise is not believed.

Inflating is a stream: however far a file blows up, only a piece of it is in memory, and only what
was read to its end before is written to the disk.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from batchd.core.errors import BatchdError
from batchd.core.inflated import NO_LIMIT, PIECE, BadGzip, Inflated
from batchd.core.records import PACKED
from batchd.spool.placing import placed_with_room, remove_file
from batchd.spool.signature import Signature, open_plain, signature

_PER_LOOK = 256 << 20  #: inflated bytes in which other files wait to be claimed: a second of work


class PlainChanged(BatchdError):
    """Somebody changed an inflated copy of ours. It is made anew when it is needed again."""


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its name: as people mean it, and as the inbox takes it."""
    return path.name.lower().endswith(PACKED)


def open_lines(path: Path, *, most: int = NO_LIMIT) -> BinaryIO:
    """Open a file to read its lines, inflated where it is packed.

    Reading raises `BadGzip` for what is no whole gzip file, or inflates to more than `most` bytes.
    """
    if not is_packed(path):
        return path.open("rb", buffering=PIECE)
    return io.BufferedReader(Inflated(path.open("rb", buffering=0), most), PIECE)


@dataclass(slots=True)
class Probe:
    """Finds out whether packed files are whole, for about as long as one look may take.

    Nothing at a gzip file's end tells that the copy has ended: it must be inflated, and thrown
    away.
    """

    most: int = NO_LIMIT
    pause: Callable[[], object] = lambda: None
    left: int = _PER_LOOK  #: inflated bytes; the last file may be larger

    def is_whole(self, path: Path) -> bool | None:
        """Whether its gzip data is there to the end; None where this look has no time for it."""
        if self.left <= 0:
            return None
        try:
            self._inflate(path)
        except BadGzip as bad:
            return bad.problem.code == "inflates_too_far"  # whole or not, it is to be rejected
        except OSError:
            return True  # can't be told here; reading it will say why
        return True

    def _inflate(self, path: Path) -> None:
        with Inflated(open_plain(path), self.most) as inflated:
            try:
                while inflated.piece(PIECE):
                    self.pause()
            finally:
                self.left -= inflated.total


class PlainCopies:
    """The inflated copies in the work folders. Each is made once in a daemon's life, by one thread.

    The same bytes come out each time, so one is made anew at will: where it is missing, after a
    restart, and after somebody wrote to it, for only the packed file was checked.
    """

    def __init__(self, keep_free: int = 0) -> None:
        self.keep_free = keep_free  #: bytes that inflating leaves free on the disk
        self._made: dict[Path, Signature] = {}
        self._one_at_a_time = Lock()

    def of(self, packed: Path, plain: Path, *, pause: Callable[[], object]) -> Path:
        """Return the copy, made if need be. Raises `PlainChanged` for one that was written to."""
        if not self._is_there(plain):
            with self._one_at_a_time:
                if not self._is_there(plain):
                    inflate(packed, plain, keep_free=self.keep_free, pause=pause)
                    self._made[plain] = signature(plain)
        return plain

    def forget(self, plain: Path) -> None:
        """Remove a copy that nobody needs any more."""
        self._made.pop(plain, None)
        remove_file(plain)

    def _is_there(self, plain: Path) -> bool:
        known = self._made.get(plain)
        if known is None:
            return False
        if not plain.exists():
            self._made.pop(plain, None)
            return False
        if signature(plain) != known:
            # What was just done with it may have been done with a stranger's lines.
            self._made.pop(plain, None)
            raise PlainChanged(f"{plain} was changed by somebody; it is inflated again")
        return True


def inflate(packed: Path, plain: Path, *, keep_free: int, pause: Callable[[], object]) -> None:
    """Write what is in a packed file to a file of its own, which appears whole.

    Raises an `OSError` of a full disk while there is still room for the others.
    """
    with open_lines(packed) as source, placed_with_room(plain, keep_free=keep_free) as write:
        while piece := source.read(PIECE):
            pause()
            write(piece)
