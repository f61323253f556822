"""The provider's objects become ours: what came as JSON becomes a `Batch`, whatever its dialect.

Servers that speak "the OpenAI Batch API" differ in case, in spelling, in what is null and in what
a time is (reference J.4). All of that ends here; nothing here raises for a strange value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeGuard

import msgspec

from batchd.core.model import (
    Batch,
    BatchError,
    BatchPage,
    BatchStatus,
    Counts,
    FilePage,
    RemoteFile,
)

#: Our words without what servers disagree about: case, and what stands between two words.
_OURS = {status.replace("_", ""): status for status in BatchStatus}
#: Other words for the same (reference J.2, J.4). A word that is not here is never an end.
_THEIRS = {
    "canceled": BatchStatus.CANCELLED,
    "canceling": BatchStatus.CANCELLING,
    "progress": BatchStatus.IN_PROGRESS,
    "running": BatchStatus.IN_PROGRESS,
    "processing": BatchStatus.IN_PROGRESS,
    "queued": BatchStatus.VALIDATING,
    "pending": BatchStatus.VALIDATING,
    "succeeded": BatchStatus.COMPLETED,
}
#: The account's queue of tokens is full: nothing was executed, and later there is room.
NO_ROOM = "token_limit_exceeded"
_NO_ROOM = re.compile(r"token_limit_exceeded|enqueued token limit", re.IGNORECASE)  # reference B.3
MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138; as milliseconds 1973


def decoded(content: bytes) -> object:
    """A JSON answer's value; None for what is no JSON (and for `null`, which is as useless)."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def batch_in(data: object) -> Batch | None:
    """The batch that was asked for, if this can be believed to be it: it has an id and a state."""
    found = _unwrapped(data)
    if found is None or not (_text(found, "id") and _text(found, "status")):
        return None
    return batch_from(found)


def _unwrapped(data: object) -> Mapping[str, object] | None:
    """Together answers a creation with `{"job": {...}, "warning": ...}` (reference J.2)."""
    if isinstance(data, Mapping) and "id" not in data and isinstance(data.get("job"), Mapping):
        data = data["job"]
    return data if isinstance(data, Mapping) else None


def batch_from(data: Mapping[str, object]) -> Batch:
    """A batch, from anything that has an id."""
    raw_status = _text(data, "status") or ""
    return Batch(
        id=_text(data, "id") or "",
        status=status_from(raw_status),
        raw_status=raw_status,
        input_file_id=_text(data, "input_file_id"),
        output_file_id=_text(data, "output_file_id"),
        error_file_id=_text(data, "error_file_id"),
        created_at=seconds_from(data.get("created_at")),
        completed_at=seconds_from(data.get("completed_at")),
        expires_at=seconds_from(data.get("expires_at")),
        counts=counts_from(data.get("request_counts")),
        errors=tuple(_errors_from(data.get("errors") or data.get("error"))),
        metadata=metadata_from(data.get("metadata")),
    )


def page_from(data: object) -> BatchPage | None:
    """One page of the list; None when this is no page.

    An entry without an id is of no use to anybody and is left out; one without a status is kept:
    leaving it out could make a batch in doubt look as if it were not there, and be bought twice.
    """
    listed = _listed(data)
    if listed is None:
        return None
    entries, has_more = listed
    return BatchPage(tuple(batch_from(entry) for entry in entries), has_more=has_more)


class _Sealed(msgspec.Struct):
    """A page whose entries are still bytes."""

    data: list[msgspec.Raw]
    has_more: object = None


_SEALED = msgspec.json.Decoder(_Sealed)


def page_in(content: bytes) -> BatchPage | None:
    """One page of the list, from its JSON; None when this is no page.

    Entry by entry: as values a page of a hundred is half a megabyte, of which a fifth is wanted.
    """
    try:
        page = _SEALED.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return page_from(decoded(content))  # a bare array, or what only Python takes for JSON
    batches = list[Batch]()
    for sealed in page.data:
        entry = decoded(bytes(sealed))
        if entry is None and bytes(sealed) != b"null":
            return None
        if _has_id(entry):
            batches.append(batch_from(entry))
    return BatchPage(tuple(batches), has_more=page.has_more is True and bool(batches))


def file_page_from(data: object) -> FilePage | None:
    """One page of the list of files; None when this is no page."""
    listed = _listed(data)
    if listed is None:
        return None
    entries, has_more = listed
    return FilePage(tuple(_file_from(entry) for entry in entries), has_more=has_more)


def says_no_room(text: str) -> bool:
    """Whether a refusal is one for room: some servers have no codes, or say it in the text only."""
    return _NO_ROOM.search(text) is not None


def status_from(raw: str) -> BatchStatus:
    """Our word for the provider's; `UNKNOWN` for a word that nobody told us."""
    word = re.sub(r"[\W_]+", "", raw).lower()
    return _OURS.get(word) or _THEIRS.get(word) or BatchStatus.UNKNOWN


def seconds_from(value: object) -> float | None:
    """Seconds since the epoch, from seconds, milliseconds, a number in quotes or ISO 8601.

    0 is "not yet" in servers whose language has no null for a number.
    """
    number = _number(value)
    if number is None and isinstance(value, str):
        return _iso_seconds(value)
    if number is None or number <= 0:
        return None
    return number / 1000 if number > MILLISECONDS_FROM else number


def counts_from(value: object) -> Counts:
    """The provider's counts, 0 where it says nothing."""
    if not isinstance(value, Mapping):
        return Counts()
    return Counts(
        total=whole(value.get("total")) or 0,
        completed=whole(value.get("completed")) or 0,
        failed=whole(value.get("failed")) or 0,
    )


def metadata_from(value: object) -> dict[str, str]:
    """The metadata as text, since some servers return the numbers that were sent as text."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): str(item) for key, item in value.items() if item is not None}


def _file_from(entry: Mapping[str, object]) -> RemoteFile:
    return RemoteFile(
        id=_text(entry, "id") or "",
        name=_text(entry, "filename") or "",
        bytes=whole(entry.get("bytes")),
        created_at=seconds_from(entry.get("created_at")),
    )


def _listed(data: object) -> tuple[list[Mapping[str, object]], bool] | None:
    """The entries of a page that have an id, and whether there is another page behind it.

    Where the answer is a bare array (Together), it is everything there is.
    """
    listed = data.get("data") if isinstance(data, Mapping) else data
    if not isinstance(listed, list):
        return None
    entries = [entry for entry in listed if _has_id(entry)]
    has_more = isinstance(data, Mapping) and data.get("has_more") is True
    return entries, has_more and bool(entries)


def _has_id(entry: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(entry, Mapping) and _text(entry, "id") is not None


def _errors_from(value: object) -> list[BatchError]:
    """`errors` is null, a sentence, one error, a list of errors, or an object with `data`."""
    if isinstance(value, Mapping) and "data" in value:
        value = value["data"]
    if isinstance(value, (str, Mapping)):
        value = [value]
    if not isinstance(value, list):
        return []
    return [_error_from(item) for item in value if item]


def _error_from(item: object) -> BatchError:
    code = NO_ROOM if says_no_room(str(item)) else None
    if not isinstance(item, Mapping):
        return BatchError(code=code, message=str(item))
    if code is None and item.get("code") is not None:
        code = str(item["code"])
    line = whole(item.get("line"))
    return BatchError(
        code=code,
        message=str(item.get("message") or code or "no reason given"),
        param=_text(item, "param"),
        line=line,
    )


def _text(data: Mapping[str, object], name: str) -> str | None:
    """A string that says something; None for null, "", a missing one, or another type."""
    value = data.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def whole(value: object) -> int | None:
    """A whole number, from a number or one in quotes."""
    number = _number(value)
    return None if number is None else int(number)


def _iso_seconds(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
