"""The output of a batch, from disk to disk: one request read, answered and written at a time.

Answers are made ahead of time and shown as time passes. Each file remembers where every answer
ends, so a batch that is cancelled half-way is cut back to what was executed by then.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from batchd.sandbox.lines import Lines

#: (custom_id, url, body) -> HTTP status and body
Answerer = Callable[[str, str, dict[str, Any]], tuple[int, dict[str, Any]]]
#: custom_id -> the names under which its line is written: usually one, its own
Naming = Callable[[str], tuple[str, ...]]


class RequestLine(msgspec.Struct):
    """A line that passed validation."""

    custom_id: str
    url: str
    body: dict[str, Any]


class Named(msgspec.Struct):
    """As much of a line as its name takes."""

    custom_id: str


class Track:
    """A file that grows by one answer after the other, and can be cut back to the first few."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sink: BinaryIO | None = None
        self._ends = array("Q", [0])
        self._bytes = 0

    def open(self) -> None:
        """Not before its turn: thousands of batches may be waiting for theirs."""
        self._sink = self.path.open("wb")

    def write(self, data: bytes) -> None:
        assert self._sink
        self._bytes += self._sink.write(data)

    def mark(self) -> None:
        """One request more is dealt with, whether or not it left a line here."""
        self._ends.append(self._bytes)

    def flush(self) -> None:
        if self._sink:
            self._sink.flush()

    def close(self) -> None:
        if self._sink:
            self._sink.close()
        self._sink = None

    def cut(self, count: int) -> None:
        """Keep what the first `count` requests wrote."""
        os.truncate(self.path, self._ends[count])

    def append(self, lines: Iterator[bytes]) -> Iterator[None]:
        with self.path.open("ab") as sink:
            for line in lines:
                sink.write(line)
                yield


class Tally:
    """Sums over the first k requests, for every k."""

    def __init__(self) -> None:
        self._sums = array("Q", [0])

    def add(self, number: int) -> None:
        self._sums.append(self._sums[-1] + number)

    def first(self, count: int) -> int:
        return self._sums[count]


class Production:
    """What a batch answers, in the order of execution, which is not the order of its input."""

    def __init__(
        self,
        *,
        batch_id: str,
        lines: Lines,
        order: array[int],
        limit: int,
        folder: Path,
        answer: Answerer,
        names: Naming,
        errors_in_output: bool,
        show: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.made = 0
        self.stopped = False
        self._batch_id = batch_id
        self._lines, self._order, self._limit = lines, order, limit
        self._answer, self._names, self._errors_in_output = answer, names, errors_in_output
        self._show = show
        self.output = Track(folder / f"{batch_id}_output.jsonl")
        self.errors = Track(folder / f"{batch_id}_error.jsonl")
        self.executed = Track(folder / f"{batch_id}_executed.jsonl")
        self._tracks = (self.output, self.errors, self.executed)
        self._completed, self._input, self._spent = Tally(), Tally(), Tally()

    def steps(self) -> Iterator[None]:
        """Answer every request that is to be executed, until told to stop."""
        try:
            for track in self._tracks:
                track.open()
            for line in self._lines.in_order(islice(self._order, self._limit)):
                if self.stopped:
                    return
                self._deal_with(msgspec.json.decode(line, type=RequestLine))
                yield
        finally:
            self.close()

    def close(self) -> None:
        for track in self._tracks:
            track.close()

    def completed(self, count: int) -> int:
        """How many of the first `count` requests succeeded."""
        return self._completed.first(count)

    def usage(self, count: int) -> tuple[int, int]:
        return self._input.first(count), self._spent.first(count)

    def settle(self, count: int, code: str | None, message: str = "") -> Iterator[None]:
        """Keep the first `count` answers; the others get an error line, if there is a code."""
        for track in self._tracks:
            track.cut(count)
        if code is not None:
            error = {"code": code, "message": message}
            yield from self.errors.append(
                self._line(name, None, error) for name in self._left_over(count)
            )

    def _left_over(self, count: int) -> Iterator[str]:
        for line in self._lines.in_order(islice(self._order, count, None)):
            yield msgspec.json.decode(line, type=Named).custom_id

    def _deal_with(self, request: RequestLine) -> None:
        status, body = self._answer(request.custom_id, request.url, request.body)
        good = status == 200
        track = self.output if good or self._errors_in_output else self.errors
        for name in self._names(request.custom_id):
            track.write(self._line(name, (status, body), None))
        self._count(good, body)
        self.executed.write(msgspec.json.encode(request.custom_id) + b"\n")
        for each in self._tracks:
            each.mark()
        self.made += 1

    def _count(self, good: bool, body: dict[str, Any]) -> None:
        usage = body.get("usage") or {}
        self._completed.add(good)
        self._input.add(usage.get("prompt_tokens") or usage.get("input_tokens") or 0)
        self._spent.add(usage.get("completion_tokens") or usage.get("output_tokens") or 0)

    def _line(
        self,
        custom_id: str,
        response: tuple[int, dict[str, Any]] | None,
        error: dict[str, str] | None,
    ) -> bytes:
        """One line of an output or error file (reference C.1 to C.5)."""
        mark = hashlib.sha256(f"{self._batch_id} {custom_id}".encode(errors="replace")).hexdigest()
        line = {
            "id": f"batch_req_{mark[:32]}",
            "custom_id": custom_id,
            "response": response
            and {"status_code": response[0], "request_id": mark[32:], "body": response[1]},
            "error": error,
        }
        return msgspec.json.encode(self._show(line)) + b"\n"
