"""Takes people's words out of what is shown to strangers: prompts, names of files, addresses.

By form, not by a list of fields: a field that is added tomorrow is hidden until somebody thinks of
it. What remains is what batchd itself has coined: ids, codes, counts, times, its own sentences'
lengths; and of a traceback where it went, not what was said.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from batchd.core.hiding import redact
from batchd.core.names import is_job_id

#: Members whose values are our own words, whatever their form.
_OURS = frozenset(
    {"event", "level", "ts", "stage", "version", "reason", "code", "model", "endpoint", "marker"}
)
#: Members that may hold anything: even one word of them may be somebody's.
_FREE = frozenset({"text", "because", "by", "message", "error", "problem", "sentence", "custom_id"})
#: Members that name what belongs to people: told apart, and not told.
_NAMES = frozenset({"name", "file", "path", "folder", "root", "example", "subject", "where"})
_WORD = re.compile(r"[A-Za-z0-9_.:+/-]{1,64}")
_PLAIN = re.compile(  # ids, codes, numbers, times: nothing that a person wrote
    r"batch_[\w-]+|file-[\w-]+|[0-9a-hjkmnp-tv-z]{6}(-\d+)?|[0-9T:.Z+-]+|[a-z]+([_-][a-z]+)*"
)
_FRAME = re.compile(r'\s+File "(?:.*/)?([^/"]+/[^/"]+)", (line \d+, in .+)')
_RAISED = re.compile(r"[\w.]+(Error|Exception|Group|Exit|Interrupt|Denied|Refused|Unavailable)\b")
_TRACEBACK = "exception"


def blind(value: Any, *, member: str = "") -> Any:
    """Return a value of JSON without what people wrote."""
    if isinstance(value, Mapping):
        return {_name(key): blind(below, member=str(key)) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [blind(below, member=member) for below in value]
    return _text(value, member) if isinstance(value, str) else value


def _name(key: object) -> str:
    """Members are ours, but for tables by model or by error code."""
    text = str(key)
    return text if _WORD.fullmatch(text) else _told_apart(text)


def _text(text: str, member: str) -> str:
    if member == _TRACEBACK:
        return "\n".join(_of_traceback(text))
    if member in _NAMES:
        return _told_apart(text)
    if member in _OURS and _WORD.fullmatch(text):
        return redact(text)
    is_plain = member not in _FREE and _PLAIN.fullmatch(text)
    return redact(text) if is_plain else f"[{len(text)} characters]"


def _told_apart(text: str) -> str:
    """The same name is the same here, and a job's id stays."""
    hashed = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
    job = text.rpartition("--")[2].partition(".")[0]
    return f"[name {hashed}]--{job}" if is_job_id(job) else f"[name {hashed}]"


def _of_traceback(text: str) -> list[str]:
    """Where it went, and what kind of error it was; never the error's own words."""
    kept = []
    for line in text.splitlines():
        if frame := _FRAME.fullmatch(line):
            kept.append(f"  {frame[1]}, {frame[2]}")
        elif raised := _RAISED.search(line):
            kept.append(f"{raised[0]}: [hidden]")
    return kept
