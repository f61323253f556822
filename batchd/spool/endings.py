"""Whether a file that has been quiet for a while is whole, as far as its end tells.

Half a copy looks like a whole file but for its end; each kind of file has one of its own.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import msgspec

from batchd.core.reasons import ReasonCode
from batchd.spool.signature import open_plain

_TAIL = 1 << 20  #: bytes looked at for the last line; a longer last line is judged by its brace
_PARQUET_ENDS = (b"PAR1", b"PARE")  #: the format's last four bytes; the latter where encrypted
_OLE = bytes.fromhex(
    "d0cf11e0a1b11ae1"
)  #: how each file of Office before 2007 begins ([MS-CFB] 2.2)
_BREAKS = (b"\n", b"\r", b"\n\0", b"\r\0")  #: the latter two in UTF-16, little endian


def lacks_last_line(path: Path) -> ReasonCode | None:
    """What a file of request lines lacks: a cut line means a copy that has not ended."""
    try:
        tail, is_all = _tail(path)
    except OSError:
        return None  # can't be told here; reading it will say why
    return None if _ends_with_json(tail, is_all=is_all) else ReasonCode.LAST_LINE_CUT


def lacks_end(path: Path, *, is_closed: bool) -> ReasonCode | None:
    """What a table lacks, by its name. `is_closed`: the kernel says that nobody is writing it.

    Many programs write no line break after a table's last row, and nothing else tells that row from
    half a row. So where nobody can have more to write it is whole; elsewhere it is only given time.
    """
    kind = path.suffix.lower()
    try:
        if kind in (".xlsx", ".xlsm"):
            return None if _is_workbook(path) else ReasonCode.END_MISSING
        tail, is_all = _tail(path)
    except OSError:
        return None
    if kind in (".jsonl", ".ndjson"):
        return None if _ends_with_json(tail, is_all=is_all) else ReasonCode.LAST_LINE_CUT
    if kind == ".json":
        return None if tail.rstrip().endswith((b"]", b"}")) else ReasonCode.END_MISSING
    if kind == ".parquet":
        return None if tail.endswith(_PARQUET_ENDS) else ReasonCode.END_MISSING
    return None if is_closed or tail.endswith(_BREAKS) else ReasonCode.LAST_LINE_OPEN


def _tail(path: Path) -> tuple[bytes, bool]:
    """The last bytes of a file, and whether these are all of it."""
    with open_plain(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _TAIL, 0))
        return file.read(_TAIL), size <= _TAIL


def _ends_with_json(tail: bytes, *, is_all: bool) -> bool:
    if tail.endswith(b"\n"):
        return True
    start = tail.rfind(b"\n") + 1
    if not start and not is_all:
        return tail.rstrip().endswith(b"}")
    return _is_json(tail[start:])


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line.lstrip(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):  # Latin-1 is a UnicodeDecodeError, and no MsgspecError
        return not line.strip()
    return True


def _is_workbook(path: Path) -> bool:
    """Whether the record that ends an archive is there, and nothing is missing after it.

    With a password, or from before 2007, it is no archive at all: then there is no end to wait for.
    """
    with open_plain(path) as file:
        return file.read(len(_OLE)) == _OLE or zipfile.is_zipfile(file)
