"""Reads a dropped file of native request lines, one line at a time, and says what is wrong with it.

Nothing is uploaded before every line has passed here. What can be mended by rule is mended (byte
order mark, CRLF, blank lines) and reported; everything else is the sender's, with line and remedy.
What one line must be is `core/rules.py`, what it weighs `core/contents.py`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from batchd.core import limits
from batchd.core.asked import asks_for_json, custom_id_of
from batchd.core.contents import Count, weigh
from batchd.core.names import printable
from batchd.core.problems import MAX_LISTED, Problem, Problems, Repairs, Warnings
from batchd.core.repeats import Repeats
from batchd.core.rules import Line, broken_rule, diagnose, doubts, read_line, repeated_key

__all__ = [
    "BOM",
    "MAX_LISTED",
    "Problem",
    "Problems",
    "Repairs",
    "Request",
    "RequestReader",
    "Rules",
    "Warnings",
    "custom_id_of",
    "normalised",
]

BOM = b"\xef\xbb\xbf"
_EXCERPT = 120  #: bytes of the offending line shown to the sender
_BLANKS = b" \t\r\n"  # JSON's own; bytes.strip() takes \v and \f too, which no provider forgives
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")  #: with its mark, and without
_EXPECTED_OUTPUT = 500  # tokens of an answer without a limit, where no settings say otherwise


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of a line."""

    max_line_bytes: int = 1 << 40
    max_bytes: int = 1 << 40
    #: accepted urls, each with its canonical form
    endpoints: Mapping[str, str] = field(default_factory=lambda: limits.accepted(("/v1",)))
    room: Mapping[str, int] = field(default_factory=dict)  #: by model: tokens that may be queued
    output_tokens: int = _EXPECTED_OUTPUT  #: expected where a request has no limit of its own
    count: Count | None = None  #: None estimates input tokens by bytes
    looks_for_repeated_keys: bool = False  #: three times the work of all the other rules


class Request(msgspec.Struct, frozen=True, gc=False):
    """What batchd needs to know of a line; its bytes stay in the file."""

    custom_id: str
    endpoint: str  #: the url as it stands in the line
    model: str
    size: int  #: bytes of the line as it travels, its line break included
    tokens: int = 0  #: input
    inputs: int = 0  #: texts to embed
    output_tokens: int = 0  #: expected
    output_bytes: int = 0  #: expected, of an embedding's answer
    as_json: bool = False  #: whether it asks for a JSON answer


def normalised(raw: bytes, row: int) -> bytes:
    """Return the line as it travels: no byte order mark, no line break; b"" for a blank line."""
    return (raw.removeprefix(BOM) if row == 1 else raw).strip(_BLANKS)


class RequestReader:
    """Takes the raw lines of one file in order; remembers hashes, never bodies.

    Ids are compared by 64-bit hash, eight bytes each; those whose hash came twice are only
    `suspects`, known after `finish`, and `confirm_duplicates` reads the file again for these.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._max_line_bytes = min(rules.max_line_bytes, rules.max_bytes)
        self._ids = Repeats()
        self.bytes = 0  #: of all lines taken
        self.row = 0  #: the number of the last line taken
        self.requests = 0
        self.exact = 0  #: requests whose tokens were counted, and nothing in them guessed
        self.problems = Problems()
        self.warnings = Warnings()
        self.repairs = Repairs()
        self.suspects: set[int] = set()
        self.hopeless = (
            False  #: after a line too long, UTF-16, damage: the rest isn't worth reading
        )

    def take(self, raw: bytes) -> Request | None:
        """Check one line. None: blank, or a problem that was noted."""
        self.row += 1
        start, self.bytes = self.bytes, self.bytes + len(raw)
        if len(raw) > self._max_line_bytes:
            self._too_long(raw)
            return None
        line = raw.strip(_BLANKS)
        # Nearly every line ends like that, and has nothing to mend.
        if self.row == 1 or not raw.endswith(b"}\n"):
            line = self._mended(raw)
            if not line:
                return None
        if (self.row == 1 or not raw.isascii()) and (bad := self._not_text(raw)) is not None:
            self._note(_utf8_problem(raw, start + bad), raw)
            return None
        try:
            decoded, unknown = read_line(line)
        except (msgspec.MsgspecError, RecursionError):
            for found in diagnose(line):
                self._note(found, line)
            return None
        if problem := broken_rule(decoded, self._rules.endpoints):
            self._note(problem, line)
            return None
        if unknown:
            self.warnings.add("unknown_member", self.row, unknown)
        return self._request(decoded, line)

    def finish(self) -> None:
        """Judge the file as a whole, after its last line."""
        self.suspects = self._ids.suspects()
        if not self.requests and not self.problems.total:
            self.problems.add(
                Problem(
                    "empty_file",
                    "the file has no request in it",
                    "Put at least one request line into it and drop it again.",
                )
            )

    def give_up(self, problem: Problem) -> None:
        """Say only this of a file that can't be read to its end: the rest may be its damage."""
        self.hopeless = True
        self.problems = Problems([problem], total=1)

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
        return _not_utf8(raw)

    def _mended(self, raw: bytes) -> bytes:
        if self.row == 1 and raw.startswith(BOM):
            self.repairs.bom = True
        line = normalised(raw, self.row)
        if not line:
            self.repairs.blank_lines += 1
        elif raw.endswith(b"\r\n"):
            self.repairs.crlf_lines += 1
        return line

    def _request(self, decoded: Line, line: bytes) -> Request:
        rules, body = self._rules, decoded.body
        kind = rules.endpoints[decoded.url]
        weight = weigh(body, kind, line, count=rules.count, default=rules.output_tokens)
        for code, detail in doubts(decoded, kind, weight, rules.room.get(body.model)):
            self.warnings.add(code, self.row, detail)
        if rules.looks_for_repeated_keys and (key := repeated_key(line)):
            self.warnings.add("repeated_key", self.row, key)
        self._ids.add(decoded.custom_id)
        self.requests += 1
        self.exact += weight.is_exact
        return Request(
            decoded.custom_id,
            decoded.url,
            body.model,
            len(line) + 1,
            weight.tokens,
            weight.inputs,
            weight.output_tokens,
            weight.output_bytes,
            asks_for_json(body),
        )

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


def _identity(line: bytes) -> str | None:
    try:
        return custom_id_of(line) if line else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _not_utf8(line: bytes) -> int | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


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
