"""The dropped file, put together again from what was uploaded of it, where somebody deleted it.

The provider keeps what it was sent for days. What comes together is only taken for the dropped file
if every byte is: by its hash, so that answers, retry.jsonl and input/ are as honest as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from batchd.core.rows import RowSet
from batchd.spool.placing import make_folder, placed, sync_folder
from batchd.spool.work import Pause, raw_lines

_LONGEST = 1 << 40  #: bytes of a line: all of these were let through once


class Uploaded(NamedTuple):
    """What one shard sent."""

    path: Path
    rows: RowSet


class NotTheSame(Exception):
    """What came together is not the dropped file: lines were mended, or a part is missing."""


def regain(parts: Sequence[Uploaded], target: Path, *, sha256: str, pause: Pause) -> None:
    """Write the dropped file anew. Raises `NotTheSame`, and then there is nothing.

    Two at a time may do so, where two of its batches end together: each writes beside its own
    parts, and the later one replaces a file by the same bytes.
    """
    if not parts:
        raise NotTheSame
    make_folder(target.parent)
    # Not in in/: a name of 255 bytes has no room for ".part".
    whole = parts[0].path.with_name("whole")
    with placed(whole) as file:
        digest, held = hashlib.sha256(), b""
        for line in _lines(parts, pause):
            digest.update(held)
            file.write(held)
            held = line
        # The last line may have had no line break, though it travelled with one.
        for last in (held, held.removesuffix(b"\n")):
            if _with(digest.copy(), last) == sha256:
                file.write(last)
                break
        else:
            raise NotTheSame
    whole.replace(target)
    sync_folder(target.parent)


def _lines(parts: Sequence[Uploaded], pause: Pause) -> Iterator[bytes]:
    if len(parts) == 1:
        # It travelled as it lay: with its blank lines and line ends, if it had any.
        yield from raw_lines(parts[0].path, longest=_LONGEST, pause=pause)
        return
    numbered = (
        zip(part.rows, raw_lines(part.path, longest=_LONGEST, pause=pause), strict=False)
        for part in parts
    )
    yield from (line for _, line in merge(*numbered, key=itemgetter(0)))


def _with(digest: hashlib._Hash, last: bytes) -> str:
    digest.update(last)
    return digest.hexdigest()
