"""Compressed files (*.gz), read as what is in them; what they promise is not believed.

Inflating is a stream: however far a file blows up, only a piece of it is in memory, and only what
was read to its end before is written to the disk.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from batchd.core.errors import BatchdError
from batchd.core.problems import Problem
from batchd.spool.placing import PART, placed, remove_file
from batchd.spool.signature import Signature, open_plain, signature

PACKED = ".gz"
_MAGIC = b"\x1f\x8b"  #: RFC 1952, section 2.3.1
_GZIP = 31  #: zlib's `wbits`: a gzip header and trailer, and the largest window
_READ = 1 << 16  #: small: zlib copies what is left of it at each end of a member
_PIECE = 1 << 20
_NO_LIMIT = 1 << 62
_PER_LOOK = 256 << 20  #: inflated bytes in which other files wait to be claimed: a second of work


class BadGzip(BatchdError):
    """A compressed file from which its lines can't be had; the sender must act."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, remedy)


class PlainChanged(BatchdError):
    """Somebody changed an inflated copy of ours. It is made anew when it is needed again."""


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its name: as people mean it, and as the inbox takes it."""
    return path.name.lower().endswith(PACKED)


def open_lines(path: Path, *, most: int = _NO_LIMIT) -> BinaryIO:
    """Open a file to read its lines, inflated where it is packed.

    Reading raises `BadGzip` for what is no whole gzip file, or inflates to more than `most` bytes.
    """
    if not is_packed(path):
        return path.open("rb", buffering=_PIECE)
    return io.BufferedReader(_Inflated(path.open("rb", buffering=0), most), _PIECE)


class _Inflated(io.RawIOBase):
    """What is in a gzip file of any number of members, from its beginning to its end."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self._member: Any = None  #: zlib's object, which has no public type
        self._members = 0
        self._rest = b""  #: read, and not yet inflated
        self.total = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        piece = self.piece(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def piece(self, longest: int) -> bytes:
        """Return the next bytes, at most so many; b"" at the end."""
        while self._member is not None or self._begins():
            fed = self._rest or self._file.read(_READ)
            piece = self._fed(fed, longest)
            self.total += len(piece)
            if self.total > self._most:
                raise _too_much(self._most)
            if piece:
                return piece
            if not fed and self._member is not None:
                raise _cut(self._file.tell())
        return b""

    def _begins(self) -> bool:
        """Whether there is one more member. Zeros behind the last one are padding (gzip(1))."""
        while data := self._rest or self._file.read(_READ):
            self._rest = data.lstrip(b"\0") if self._members else data
            if self._rest:
                self._must_begin(self._rest[: len(_MAGIC)])
                self._member = zlib.decompressobj(wbits=_GZIP)
                self._members += 1
                return True
        return False

    def _must_begin(self, start: bytes) -> None:
        if _MAGIC.startswith(start):
            return
        if not self._members:
            raise _not_gzip()
        at = self._file.tell() - len(self._rest)
        raise _damaged(f"there is something else behind the gzip data, at byte {at:,}")

    def _fed(self, data: bytes, longest: int) -> bytes:
        try:
            piece: bytes = self._member.decompress(data, longest)
        except zlib.error as error:
            words = str(error).rpartition(": ")[2]
            at = self._file.tell()
            raise _damaged(f"the gzip data is damaged before byte {at:,} ({words})") from error
        if self._member.eof:
            self._rest, self._member = self._member.unused_data, None
        else:
            self._rest = self._member.unconsumed_tail
        return piece


def _not_gzip() -> BadGzip:
    return BadGzip(
        "not_gzip",
        "the file is not gzip, though its name ends in .gz",
        "If it is plain text, drop it without .gz at the end of its name; else compress it: gzip FILE.",
    )


def _cut(size: int) -> BadGzip:
    return BadGzip(
        "gzip_cut",
        f"the gzip data ends in the middle, after {size:,} bytes: the copy was cut off",
        "Copy it again, or compress it again: gzip -t FILE says whether it is whole.",
    )


def _damaged(message: str) -> BadGzip:
    return BadGzip(
        "gzip_damaged",
        message,
        "Copy it again in binary mode, or compress it again: gzip -t FILE says whether it is whole.",
    )


def _too_much(most: int) -> BadGzip:
    return BadGzip(
        "inflates_too_far",
        f"inflated it has more than {most:,} bytes",
        "Drop it in smaller files. The limit is inbox.max_inflated_bytes.",
    )


@dataclass(slots=True)
class Probe:
    """Finds out whether packed files are whole, for about as long as one look may take.

    Nothing at a gzip file's end tells that the copy has ended: it must be inflated, and thrown
    away.
    """

    most: int = _NO_LIMIT
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
        with _Inflated(open_plain(path), self.most) as inflated:
            try:
                while inflated.piece(_PIECE):
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
    try:
        with open_lines(packed) as source, placed(plain) as copy:
            while piece := source.read(_PIECE):
                pause()
                _must_have_room(plain.parent, keep_free)
                copy.write(piece)
    finally:
        remove_file(plain.with_name(plain.name + PART))


def _must_have_room(folder: Path, keep_free: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < keep_free:
        text = f"{free:,} bytes are free on the disk of var/, too few to inflate a file"
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {text}")
