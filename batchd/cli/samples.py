"""What of a table is handed to the daemon: all of it, or of a large one its beginning.

The daemon can't open what lies in somebody's home, and is not to open what they may not; so they
read it, and it gets the bytes.
"""

from __future__ import annotations

from pathlib import Path

from batchd.control.messages import MOST_SENT
from batchd.core.errors import InputError
from batchd.core.records import kind_of
from batchd.core.words import size

_IN_LINES = frozenset({"csv", "tsv", "jsonl", "text"})
_PACKED = b"\x1f\x8b"  # RFC 1952: of gzip


def beginning(file: Path) -> bytes:
    """Return a file, or so much of a large one that the first rows are whole.

    Raises `InputError` for a large one of a kind that can't be cut.
    """
    with file.open("rb") as opened:
        content = opened.read(MOST_SENT + 1)
    if len(content) <= MOST_SENT:
        return content
    whole_lines = content.rfind(b"\n", 0, MOST_SENT) + 1
    if kind_of(file.name) not in _IN_LINES or content.startswith(_PACKED) or not whole_lines:
        raise InputError(
            f"only {size(MOST_SENT)} can be handed to the daemon, and such a file can't be cut; make"
            " one of its first rows, and name that"
        )
    return content[:whole_lines]
