"""Matches a batch's answers to the requests of its shard: by `custom_id`, never by position.

What came is counted as it came: an id twice, an id of nobody's, a line that is no answer, a request
that no line answers. Each request ends with exactly one answer, the provider's or batchd's word.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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


class Spot(NamedTuple):
    """Where a line lies."""

    source: Source
    offset: int
    length: int


class _Place(msgspec.Struct, frozen=True, gc=False):
    source: Source
    offset: int
    length: int
    succeeded: bool
    unsent: bool


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
        self._places: dict[int, _Place] = {}
        self._last: _Place | None = None  #: the place that was noted last
        self._again: set[int] = set()
        self._uncounted: set[int] = set()
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
        elif row not in self._places:
            self._settle(row, answer, spot, executed=executed)
            self._spend(answer)
        else:
            self._oddities["repeated_ids"] += 1
            if self._betters(row, answer, spot):
                self._spend(answer)

    def missing(self) -> Iterator[tuple[str, int]]:
        """Yield the requests that nothing has answered yet: custom_id and row."""
        for custom_id, row in self._ids.items():
            if row not in self._places:
                yield custom_id, row

    def count(self, oddity: str, number: int) -> None:
        """Note something odd about so many requests."""
        if number:
            self._oddities[oddity] += number

    def index(self) -> AnswerIndex:
        """Return where each row's answer lies."""
        index, asked = AnswerIndex(), None if self._as_json is None else set(self._as_json)
        for row in sorted(self._places):
            place = self._places[row]
            as_json = None if asked is None else row in asked
            index.add(
                row, place.source, place.offset, place.length, unsent=place.unsent, as_json=as_json
            )
        return index

    def tally(self) -> Tally:
        """Return what the ledger is to remember."""
        if self._without_model and self._without_model == len(self._places):
            self.count(UNUSABLE, self._without_model)
        kept = sum(place.succeeded for place in self._places.values())
        return Tally(
            again=RowSet.of(self._again),
            uncounted=RowSet.of(self._uncounted),
            kept=kept,
            failed=len(self._places) - kept - len(self._again),
            usage={model: tab.total() for model, tab in self._tabs.items()},
            oddities=dict(self._oddities),
        )

    def _settle(self, row: int, answer: Answer, spot: Spot, *, executed: bool) -> None:
        judgement = judge(
            answer,
            attempts_before=self._attempts_before[row],
            max_attempts=self._max_attempts,
            executed=executed,
            final=self._final,
        )
        fate = judgement.fate
        place = _Place(*spot, fate is Fate.SUCCEEDED, fate is Fate.CANCELLED)
        if place != self._last:  # records of one line mostly have one place
            self._last = place
        self._places[row] = self._last
        if answer.code is None:
            return
        self._without_model += is_without_model(answer.code, answer.status)
        if judgement.verdict is Verdict.AGAIN:
            self._again.add(row)
        if not judgement.executed:
            self._uncounted.add(row)

    def _betters(self, row: int, answer: Answer, spot: Spot) -> bool:
        """The first line counts, but an answer beats a failure: it was paid for."""
        is_better = answer.code is None and not self._places[row].succeeded
        if is_better:
            self._again.discard(row)
            self._uncounted.discard(row)
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
            tab = self._tabs[model] = Tab()
        tab.add(usage, self._price(answer.model, usage))
