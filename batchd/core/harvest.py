"""Matches a batch's answers to the requests of its shard: by `custom_id`, never by position.

What came is counted as it came: an id twice, an id of nobody's, a line that is no answer, a request
that no line answers. Each request ends with exactly one answer, the provider's or batchd's word.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from batchd.core.answers import Answer, read_answer
from batchd.core.index import AnswerIndex, Source
from batchd.core.rows import RowSet
from batchd.core.unusable import ODDITY as UNUSABLE
from batchd.core.unusable import is_without_model
from batchd.core.usage import UNKNOWN, Charge, ModelUsage, Tab, Usage
from batchd.core.verdicts import Fate, Verdict, judge

Price = Callable[[str | None, Usage], Charge]

#: Answers that never report usage (reference H): what they took is no tokens, not an unknown number.
_WITHOUT_USAGE = "/moderations"

#: What is to be known of a request that failed: a bit each, because a shard may have a million records.
_FAILED, _UNSENT, _AGAIN, _UNCOUNTED = 1, 2, 4, 8


class Spot(msgspec.Struct, frozen=True, gc=False):
    """Where a line lies."""

    source: Source
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What the ledger is told of a collected shard."""

    again: RowSet
    uncounted: RowSet
    kept: int
    failed: int
    usage: Mapping[str, ModelUsage]
    oddities: Mapping[str, int]


class Harvest:
    """Takes the lines of a shard's answer files; remembers where they are, not what they say."""

    def __init__(
        self,
        ids: Mapping[str, int],
        *,
        endpoint: str,
        attempts_before: array[int],
        max_attempts: int,
        price: Price,
        truncated_fails: bool = False,
        final: bool = False,
        as_json: RowSet | None = None,
    ) -> None:
        self._ids = ids  #: custom_id -> row
        self._endpoint = endpoint
        self._attempts_before = attempts_before
        self._max_attempts = max_attempts
        self._price = price
        self._truncated_fails = truncated_fails
        self._as_json = as_json  #: rows that asked for JSON; None where that is not known
        self._final = final  #: its job gets no further round
        self._came = AnswerIndex()  #: every answer that was taken, as it came
        #: by row: which of these counts, from 1; 0 for none. Objects would take ten times as much.
        self._places = array("I", (0,)) * len(attempts_before)
        self._marks = bytearray(len(attempts_before))  #: by row; nothing for what succeeded
        self._answered = 0  #: rows
        self._tabs: dict[str, Tab] = {}
        self._oddities: Counter[str] = Counter()
        self._without_model = 0

    @classmethod
    def again(cls, ids: Mapping[str, int], *, endpoint: str) -> Harvest:
        """Make one that only finds out where answers lie; what they meant is recorded already."""
        never = array("H", bytes(2 * (max(ids.values()) + 1)))
        return cls(
            ids,
            endpoint=endpoint,
            attempts_before=never,
            max_attempts=1,
            price=lambda model, usage: UNKNOWN,
        )

    def take(self, source: Source, offset: int, line: bytes, *, executed: bool = True) -> None:
        """Take one line. `executed=False`: its request surely did not run, whatever it says."""
        try:
            answer = read_answer(line, self._endpoint, truncated_fails=self._truncated_fails)
        except (msgspec.MsgspecError, RecursionError):
            self._oddities["unreadable_lines"] += 1
            return
        self._bring(answer, Spot(source, offset, len(line)), executed=executed)

    def _bring(self, answer: Answer, spot: Spot, *, executed: bool) -> None:
        """Bring an answer to its request."""
        row = self._ids.get(answer.custom_id)
        if row is None:
            self._oddities["unknown_ids"] += 1
        elif not self._places[row]:
            self._settle(row, answer, spot, executed=executed)
            self._spend(answer)
        else:
            self._oddities["repeated_ids"] += 1
            if self._betters(row, answer, spot):
                self._spend(answer)

    def missing(self) -> Iterator[tuple[str, int]]:
        """Yield the requests that nothing has answered yet: custom_id and row."""
        for custom_id, row in self._ids.items():
            if not self._places[row]:
                yield custom_id, row

    def count(self, oddity: str, number: int) -> None:
        """Note something odd about so many requests."""
        if number:
            self._oddities[oddity] += number

    def index(self) -> AnswerIndex:
        """Return where each row's answer lies."""
        index, asked = AnswerIndex(), None if self._as_json is None else set(self._as_json)
        for row, place in enumerate(self._places):
            if place:
                as_json = None if asked is None else row in asked
                index.add_from(self._came, place - 1, as_json=as_json)
        return index

    def tally(self) -> Tally:
        """Return what the ledger is to remember."""
        if self._without_model and self._without_model == self._answered:
            self.count(UNUSABLE, self._without_model)
        again, failed = self._marked(_AGAIN), self._marked(_FAILED)
        return Tally(
            again=again,
            uncounted=self._marked(_UNCOUNTED),
            kept=self._answered - len(failed),
            failed=len(failed) - len(again),
            usage={model: tab.total() for model, tab in self._tabs.items()},
            oddities=dict(self._oddities),
        )

    def _settle(self, row: int, answer: Answer, spot: Spot, *, executed: bool) -> None:
        if answer.code is not None:  # what succeeded is kept: nothing else is to be judged
            self._fail(row, answer, executed=executed)
        unsent = self._marks[row] & _UNSENT != 0
        self._came.add(row, spot.source, spot.offset, spot.length, unsent=unsent)
        self._answered += not self._places[row]
        self._places[row] = len(self._came)

    def _fail(self, row: int, answer: Answer, *, executed: bool) -> None:
        judgement = judge(
            answer,
            attempts_before=self._attempts_before[row],
            max_attempts=self._max_attempts,
            executed=executed,
            final=self._final,
        )
        self._without_model += is_without_model(answer.code, answer.status)
        mark = _FAILED
        if judgement.fate is Fate.CANCELLED:
            mark |= _UNSENT
        if judgement.verdict is Verdict.AGAIN:
            mark |= _AGAIN
        if not judgement.executed:
            mark |= _UNCOUNTED
        self._marks[row] = mark

    def _marked(self, mark: int) -> RowSet:
        if not any(self._marks):
            return RowSet()  # as nearly always
        return RowSet.of(row for row, marks in enumerate(self._marks) if marks & mark)

    def _betters(self, row: int, answer: Answer, spot: Spot) -> bool:
        """The first line counts, but an answer beats a failure: it was paid for."""
        is_better = answer.code is None and self._marks[row] & _FAILED != 0
        if is_better:
            self._marks[row] = 0
            self._settle(row, answer, spot, executed=True)
        return is_better

    def _spend(self, answer: Answer) -> None:
        usage = answer.usage
        if usage is None and answer.code is None and self._endpoint.endswith(_WITHOUT_USAGE):
            usage = Usage()
        if usage is None:
            return
        model = answer.model or "unknown"
        if (tab := self._tabs.get(model)) is None:
            tab = self._tabs[model] = Tab(partial(self._price, answer.model))
        tab.add(usage)
