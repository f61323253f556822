"""Names: of jobs and shards, of folders in the outbox, of files people dropped."""

from __future__ import annotations

import re
import unicodedata

#: Crockford's base 32 without look-alikes, in ASCII order: ids sort by age as plain text.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 6  # 32^6 seconds = 34 years from the epoch below
#: One expression: each look at var/work asks it of every folder there.
_IS_ID = re.compile(f"[{_DIGITS}]{{{_ID_LENGTH}}}").fullmatch
_EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z
_HIGHEST = 32**_ID_LENGTH - 1
_NATIVE = (".jsonl", ".ndjson")  #: what files of request lines are called
_TABLES = (
    ".csv",
    ".tsv",
    ".json",
    ".txt",
    ".md",
    ".parquet",
    ".xlsx",
    ".xlsm",
)  #: what tables are called
_MAX_STEM_BYTES = 120  # with "--id.cancelled", less than the 143 bytes that eCryptfs has room for


def next_job_id(now: float, last: str | None) -> str:
    """Make an id that sorts after `last`: the seconds since 2026, or one more than `last`.

    A clock set back, or a thousand files in one second, only borrow from the seconds to come. A
    clock that an id has no room for is no clock: one more digit would sort before all others.
    """
    number = int(now) - _EPOCH
    if not 0 < number < _HIGHEST:
        number = 1
    if last is not None:
        number = max(number, _number(last) + 1)
    return _text(number)


def is_job_id(text: str) -> bool:
    """Whether a folder's name is a job's id, so that nobody else's folder is ever taken for one."""
    return _IS_ID(text) is not None


def shard_id(job: str, number: int) -> str:
    """Name the `number`-th shard of a job (from 1): sorts by age within the job."""
    return f"{job}-{number}"


def folder_name(job: str, name: bytes, *, ending: str) -> str:
    """Name the outbox folder: the dropped file's stem, the job's id, and how it ended."""
    return f"{safe_stem(name)}--{job}{ending}"


def is_task_name(name: str) -> bool:
    """Whether a folder in the inbox, or one that a claim keeps, may be a task's by its name.

    What looks like a file of request lines is none: in a work folder it is somebody's folder that
    was swapped for such a file while that was taken.
    """
    if name.startswith(".") or "/" in name:
        return False
    return not name.removesuffix(".gz").endswith(_NATIVE)


def safe_stem(name: bytes) -> str:
    """Make a folder-safe text of a file name: never a path, never hidden, at most 120 bytes.

    Dropped names are bytes: not UTF-8, with line breaks, beginning with a dash (F57).
    """
    text = name.decode("utf-8", errors="replace").removesuffix(".gz")
    for ending in _NATIVE:
        text = text.removesuffix(ending)
    text = next((text.removesuffix(end) for end in _TABLES if text.endswith(end)), text)
    safe = "".join("_" if c == "/" or _breaks_lines(c) else c for c in text)
    cut = safe.encode("utf-8")[:_MAX_STEM_BYTES].decode("utf-8", errors="ignore")
    return "_" + cut[1:] if cut[:1] in {".", "-", ""} else cut


def shown(name: bytes) -> str:
    """Show a name to people: what can't be printed is escaped."""
    return printable(name.decode("utf-8", errors="backslashreplace"))


def printable(text: str) -> str:
    """Escape what could break a line or steer a terminal: senders' words go into our messages."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _breaks_lines(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in {"Zl", "Zp"}


def _number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + _DIGITS.index(digit)
    return number


def _text(number: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, 32)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)).rjust(_ID_LENGTH, _DIGITS[0])
