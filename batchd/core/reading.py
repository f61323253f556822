"""Reads a dropped file of native request lines, one line at a time, and says what is wrong with it.

Nothing is uploaded before every line has passed here. What can be mended by rule is mended (byte
order mark, CRLF, blank lines) and reported; everything else is the sender's, with line and remedy.
The codes are the provider's own (API reference, "Batch", errors of a failed batch).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from msgspec import Raw

from batchd.core import limits
from batchd.core.names import printable

BOM = b"\xef\xbb\xbf"
MAX_LISTED = 20  #: problems listed one by one; beyond these the total is enough (R33)
_EXCERPT = 120  #: bytes of the offending line shown to the sender
_BLANKS = b" \t\r\n"  # JSON's own; bytes.strip() takes \v and \f too, which no provider forgives
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")  #: with its mark, and without
_NULL = Raw(b"null")

#: What a body can't do without (reference B.3 and M.8).
_NEEDED = {
    "/v1/chat/completions": "messages",
    "/v1/embeddings": "input",
    "/v1/moderations": "input",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing the sender must mend."""

    code: str
    message: str
    remedy: str
    line: int | None = None  #: 1-based; None where the file as a whole is meant
    param: str | None = None
    excerpt: str = ""  #: the beginning of the offending line


@dataclass(slots=True)
class Problems:
    """The first problems in full, and how many there are."""

    listed: list[Problem] = field(default_factory=list)
    total: int = 0

    def add(self, problem: Problem) -> None:
        """Keep the first `MAX_LISTED`; count all."""
        self.total += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(problem)


@dataclass(slots=True)
class Repairs:
    """What was mended by rule. Any of these, and batchd's own copy travels, not the file."""

    bom: bool = False
    crlf_lines: int = 0
    blank_lines: int = 0

    def __bool__(self) -> bool:
        return self.bom or bool(self.crlf_lines) or bool(self.blank_lines)

    def as_dict(self) -> dict[str, Any]:
        """For the ledger and the receipt."""
        return {"bom": self.bom, "crlf_lines": self.crlf_lines, "blank_lines": self.blank_lines}


@dataclass(frozen=True, slots=True)
class Request:
    """What batchd needs to know of a line; its bytes stay in the file."""

    custom_id: str
    endpoint: str
    model: str
    size: int  #: bytes of the line as it travels, its line break included


class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None
    messages: Raw = _NULL
    input: Raw = _NULL


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: _Body


class _Identity(msgspec.Struct):
    custom_id: str


_decode = msgspec.json.Decoder(_Line).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode


def normalised(raw: bytes, row: int) -> bytes:
    """Return the line as it travels: no byte order mark, no line break; b"" for a blank line."""
    return (raw.removeprefix(BOM) if row == 1 else raw).strip(_BLANKS)


def custom_id_of(line: bytes) -> str:
    """Return the `custom_id` of a line that has passed `RequestReader`."""
    return _decode_identity(line).custom_id


class RequestReader:
    """Takes the raw lines of one file in order; remembers hashes, never bodies.

    Ids are compared by 64-bit hash, so that a million of them stay in memory; a line whose hash
    was seen before is only a suspect, and `confirm_duplicates` reads the file again for these.
    """

    def __init__(self, *, max_line_bytes: int, max_bytes: int) -> None:
        self._max_line_bytes = min(max_line_bytes, max_bytes)
        self._seen: set[int] = set()
        self._offset = 0
        self.row = 0  #: the number of the last line taken
        self.requests = 0
        self.problems = Problems()
        self.repairs = Repairs()
        self.suspects: set[int] = set()
        self.hopeless = False  #: after a line too long, or UTF-16: the rest isn't worth reading

    def take(self, raw: bytes) -> Request | None:
        """Check one line. None: blank, or a problem that was noted."""
        self.row += 1
        start, self._offset = self._offset, self._offset + len(raw)
        if len(raw) > self._max_line_bytes:
            self._too_long(raw)
            return None
        line = self._mended(raw)
        if not line:
            return None
        if (bad := self._not_text(raw)) is not None:
            self._note(_utf8_problem(raw, start + bad), raw)
            return None
        try:
            request = self._request(_decode(line), line)
        except (msgspec.MsgspecError, RecursionError):
            for problem in diagnose(line):
                self._note(problem, line)
            return None
        return request

    def finish(self) -> None:
        """Judge the file as a whole, after its last line."""
        if not self.requests and not self.problems.total:
            self.problems.add(
                Problem(
                    "empty_file",
                    "the file has no request in it",
                    "Put at least one request line into it and drop it again.",
                )
            )

    def confirm_duplicates(self, lines: Iterable[bytes]) -> None:
        """Read the file again for the ids whose hash came twice, and note the real repeats."""
        first: dict[str, int] = {}
        for row, raw in enumerate(lines, start=1):
            line = normalised(raw, row)
            identity = _identity(line)
            if identity is None or hash(identity) not in self.suspects:
                continue
            if identity in first:
                self._note(_duplicate(identity, first[identity]), line, row=row)
            else:
                first[identity] = row

    def _not_text(self, raw: bytes) -> int | None:
        """Return the offset of the first byte that is not UTF-8; None where all are."""
        if self.row == 1 and raw.startswith(_UTF16_STARTS):
            self.hopeless = True
            return raw.index(b"\0") if raw[0] < 0x80 else 0
        return None if raw.isascii() else _not_utf8(raw)

    def _mended(self, raw: bytes) -> bytes:
        if self.row == 1 and raw.startswith(BOM):
            self.repairs.bom = True
        line = normalised(raw, self.row)
        if not line:
            self.repairs.blank_lines += 1
        elif raw.endswith(b"\r\n"):
            self.repairs.crlf_lines += 1
        return line

    def _request(self, decoded: _Line, line: bytes) -> Request | None:
        """Apply the rules that a type can't; a line that breaks none is a request."""
        if problem := _broken_rule(decoded):
            self._note(problem, line)
            return None
        fingerprint = hash(decoded.custom_id)
        if fingerprint in self._seen:
            self.suspects.add(fingerprint)
        self._seen.add(fingerprint)
        self.requests += 1
        return Request(decoded.custom_id, decoded.url, decoded.body.model, len(line) + 1)

    def _too_long(self, raw: bytes) -> None:
        self.hopeless = True
        limit = self._max_line_bytes
        self._note(
            Problem(
                "line_too_long",
                f"the line is longer than {limit:,} bytes",
                "Make the request smaller; a missing line break between requests looks like this,"
                " too. The limit is inbox.max_line_bytes.",
            ),
            raw,
        )

    def _note(self, problem: Problem, line: bytes, *, row: int | None = None) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        shown = printable(decoder.decode(line[:_EXCERPT]))  # drops a character cut in two
        if len(line) > _EXCERPT:
            shown += "…"
        self.problems.add(replace(problem, line=row or self.row, excerpt=shown))


def _broken_rule(line: _Line) -> Problem | None:
    if not line.custom_id:
        return _missing("custom_id", "it is an empty string")
    if line.method != "POST":
        return Problem(
            "invalid_method",
            f'"method" is "{printable(line.method[:20])}"; a batch only takes "POST"',
            'Write "method": "POST".',
            param="method",
        )
    if line.url not in limits.ENDPOINTS:
        return Problem(
            "invalid_url",
            f'"url" is "{printable(line.url[:80])}", which is no endpoint of the Batch API',
            f"Use one of: {', '.join(limits.ENDPOINTS)}.",
            param="url",
        )
    if not line.body.model:
        return _no_model()
    if line.body.stream and line.url in limits.STREAMING_ENDPOINTS:
        return Problem(
            "streaming_unsupported",
            '"stream": true is not supported in a batch',
            'Remove "stream" from the body.',
            param="body.stream",
        )
    return _missing_content(line)


def _missing_content(line: _Line) -> Problem | None:
    name = _NEEDED.get(line.url)
    if name is None:
        return None
    content = bytes(line.body.messages if name == "messages" else line.body.input)
    if content[:1] == b"[":
        found = bool(content[1:-1].strip(_BLANKS))
    else:
        found = name == "input" and content != b"null"
    return None if found else _no_content(name)


def diagnose(line: bytes) -> list[Problem]:
    """Say why a line did not decode: the slow way, taken only for lines that are wrong."""
    try:
        value = msgspec.json.decode(line)
    except RecursionError:
        return [_not_json("it is nested too deeply")]
    except msgspec.DecodeError as error:
        return [_not_json(_in_words(line, error))]
    if not isinstance(value, dict):
        return [_not_json("it is not an object in braces")]
    problems = [p for name in ("custom_id", "method", "url", "body") if (p := _member(value, name))]
    return problems or _body_problems(value["body"])


def _member(value: dict[str, Any], name: str) -> Problem | None:
    if name not in value:
        return _missing(name, "it is not there")
    kind, word = (dict, "an object") if name == "body" else (str, "a string")
    return None if isinstance(value[name], kind) else _missing(name, f"it is not {word}")


def _body_problems(body: dict[str, Any]) -> list[Problem]:
    if not isinstance(body.get("model"), str):
        return [_no_model()]
    if not isinstance(body.get("stream"), bool | None):
        return [
            Problem(
                "invalid_request",
                '"stream" is neither true nor false',
                'Remove "stream" from the body.',
                param="body.stream",
            )
        ]
    return [_not_json("it can't be read")]


def _identity(line: bytes) -> str | None:
    try:
        return _decode_identity(line).custom_id if line else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _not_utf8(line: bytes) -> int | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _in_words(line: bytes, error: msgspec.DecodeError) -> str:
    """Tell a cut line from a wrong escape; the decoder says "truncated" for both."""
    text = str(error).removeprefix("JSON is malformed: ")
    if "truncated" in text:
        return "it ends in the middle" if not line.endswith(b"}") else "a \\u escape is cut or lone"
    if b"}\r" in line:
        return "its lines end with CR alone; LF, or CR and LF, end a line"
    return text


def _not_json(why: str) -> Problem:
    return Problem(
        "invalid_json_line",
        f"this line is not valid JSON: {why}",
        "Each line must be one JSON object, complete on its own line.",
    )


def _missing(name: str, why: str) -> Problem:
    return Problem(
        "missing_required_parameter",
        f'missing required parameter "{name}": {why}',
        'A request line is {"custom_id": "...", "method": "POST", "url": "/v1/...", "body": {...}}.',
        param=name,
    )


def _no_model() -> Problem:
    return Problem(
        "invalid_request",
        '"body.model" is missing or not a string',
        'Name the model in the body: "model": "gpt-4o-mini".',
        param="body.model",
    )


def _no_content(name: str) -> Problem:
    kind = "a list of messages" if name == "messages" else "a text, or a list of them"
    return Problem(
        "invalid_request",
        f'"body.{name}" is missing or empty',
        f'Give the body its "{name}": {kind}.',
        param=f"body.{name}",
    )


def _utf8_problem(raw: bytes, offset: int) -> Problem:
    hint, encoding = (
        ("UTF-16", "UTF-16") if raw.startswith(_UTF16_STARTS) else ("Latin-1", "LATIN1")
    )
    return Problem(
        "not_utf8",
        f"byte {offset:,} of the file is not UTF-8 (it may be {hint})",
        f"Save the file as UTF-8: iconv -f {encoding} -t UTF-8 OLD > NEW.",
    )


def _duplicate(custom_id: str, first: int) -> Problem:
    return Problem(
        "duplicate_custom_id",
        f'the custom_id "{printable(custom_id[:80])}" stands on line {first} already',
        "Give every request of the file its own custom_id: answers come back by it.",
        param="custom_id",
    )
