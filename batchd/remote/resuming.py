"""What it takes to go on with a download that broke off, and never to mix two files.

A server offers it by `Accept-Ranges: bytes` and a strong `ETag`, which names the bytes and not only
the file. The tag goes back as `If-Range`: whoever has other bytes by then answers with all of them.
Nothing of this is written down: a restarted daemon begins anew, because after a crash a file's
length does not prove its content, and a fsync for each piece would cost more than it saves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(slots=True)
class Part:
    """The first bytes of a file at the provider, as they lie on our disk."""

    length: int = 0
    end: bytes = b""  #: the last of them
    total: int | None = None  #: of the whole file; None while nobody said
    etag: str | None = None  #: None: it can't be gone on with

    @property
    def can_go_on(self) -> bool:
        """Whether the rest can be asked for."""
        return self.etag is not None and self.length > 0

    def forget(self) -> None:
        """Begin anew."""
        self.length, self.end, self.total, self.etag = 0, b"", None, None

    def check(self, path: Path) -> None:
        """Forget what does not lie there as it was left: cut by a full disk, or not there at all."""
        try:
            is_there = path.stat().st_size == self.length
        except FileNotFoundError:
            is_there = False
        if not (is_there and self.can_go_on):
            self.forget()

    def wish(self) -> dict[str, str]:
        """The headers that ask for the rest, and for all of it where the file is another by now."""
        if not self.can_go_on:
            return {}
        return {"Range": f"bytes={self.length}-", "If-Range": self.etag or ""}

    def begin(self, headers: Mapping[str, str]) -> None:
        """A whole file comes, whatever was asked for."""
        self.forget()
        if "content-encoding" in headers:
            return  # its length and its places are those of other bytes
        self.total = _number(headers.get("content-length"))
        if headers.get("accept-ranges", "").strip().lower() == "bytes":
            self.etag = _strong(headers.get("etag"))

    def is_continued_by(self, headers: Mapping[str, str]) -> bool:
        """Whether a piece that comes (206) is the whole rest of these very bytes."""
        found = _RANGE.fullmatch(headers.get("content-range", "").strip())
        if found is None or not self.can_go_on or headers.get("etag") != self.etag:
            return False
        if "content-encoding" in headers:
            return False
        start, last, total = (int(number) for number in found.groups())
        return (start, last) == (self.length, total - 1) and self.total in (None, total)

    def take(self, chunk: bytes | bytearray) -> None:
        """So much more is on the disk."""
        self.length += len(chunk)
        self.end = bytes(chunk[-1:]) or self.end


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _strong(etag: str | None) -> str | None:
    """A weak tag (`W/"..."`) promises the same meaning, not the same bytes."""
    return etag if etag and etag.startswith('"') else None
