"""Takes the lines that a task makes of its records: they differ in the texts in them, and in size.

The first is read like any other. Of the others nothing more is to be found out than it told, where
tokens are a matter of size: reading each takes a fifth of all the work with a table.
"""

from __future__ import annotations

from dataclasses import dataclass

from batchd.core.contents import CHAT, RESPONSES, estimated_tokens, may_have_images, weigh
from batchd.core.reading import Request, RequestReader, Rules
from batchd.core.rules import Line, doubts

#: The others say of each text whether it is empty, or how many there are.
_ALIKE = (CHAT, RESPONSES)
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class _Known:
    """What the first line told of all."""

    request: Request
    warnings: tuple[tuple[str, str], ...]
    max_line_bytes: int
    room: int  #: tokens that the model's queue may hold

    def may_differ(self, line: bytes, size: int, tokens: int) -> bool:
        """Whether there may be more to say of a line."""
        return size > self.max_line_bytes or tokens > self.room or may_have_images(line)


class RenderedReader(RequestReader):
    """Reads the lines of one task, each by the number of its first record. As `RequestReader`."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._known: _Known | None = None

    def take_of(self, row: int, line: bytes) -> Request | None:
        """Check the request of this row, and those behind it. None: a problem that was noted."""
        known, size = self._known, len(line) + 1
        tokens = estimated_tokens(size)
        if known is None or known.may_differ(line, size, tokens):
            # What is wrong or odd about a request is said of its first record.
            self.row = row - 1
            return self.take(line)
        for code, detail in known.warnings:
            self.warnings.add(code, row, detail)
        self.requests += 1
        like = known.request
        return Request(
            str(row), like.endpoint, like.model, size, tokens, output_tokens=like.output_tokens
        )

    def _request(self, decoded: Line, line: bytes) -> Request:
        request = super()._request(decoded, line)
        rules = self._rules
        kind = rules.endpoints[decoded.url]
        if kind in _ALIKE and rules.count is None and not rules.looks_for_repeated_keys:
            weight = weigh(decoded.body, kind, line, count=None, default=rules.output_tokens)
            warnings = tuple(doubts(decoded, kind, weight, None))
            room = rules.room.get(request.model, _NO_LIMIT)
            self._known = _Known(request, warnings, self._max_line_bytes, room)
        return request
