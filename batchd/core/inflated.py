"""What is in gzip data, piece by piece; what it promises is not believed."""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO

from batchd.core.errors import BatchdError
from batchd.core.problems import Problem

NO_LIMIT = 1 << 62
PIECE = 1 << 20
_MAGIC = b"\x1f\x8b"  #: RFC 1952, section 2.3.1
_GZIP = 31  #: zlib's `wbits`: a gzip header and trailer, and the largest window
_READ = 1 << 16  #: small: zlib copies what is left of it at each end of a member


class BadGzip(BatchdError):
    """A compressed file from which its lines can't be had; the sender must act."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, remedy)


class Inflated(io.RawIOBase):
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
