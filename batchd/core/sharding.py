"""Cuts a job into shards: one model and one endpoint each, within the provider's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from batchd.core.contents import estimated_tokens
from batchd.core.reading import Request
from batchd.core.rows import RowSet, RowSetBuilder

__all__ = ["ShardLimits", "ShardPlan", "Sharder", "estimated_tokens"]

_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """How large one batch may be."""

    max_requests: int = _NO_LIMIT
    max_bytes: int = _NO_LIMIT
    enqueued_tokens: Mapping[str, int] = field(default_factory=dict)  #: by model
    max_inputs: int = _NO_LIMIT  #: texts to embed
    max_output_bytes: int = _NO_LIMIT  #: expected, of embeddings


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard before it has an id."""

    endpoint: str
    model: str
    rows: RowSet
    requests: int
    size: int  #: bytes as it will be uploaded
    tokens: int  #: estimated input tokens, for the account's queue limit
    inputs: int = 0  #: texts to embed
    output_tokens: int = 0  #: expected: what the requests allow, or what is usual
    estimate: float | None = None  #: US dollars that it is expected to cost; None is not known


@dataclass(slots=True)
class _Filling:
    rows: RowSetBuilder = field(default_factory=RowSetBuilder)
    requests: int = 0
    size: int = 0
    tokens: int = 0
    inputs: int = 0
    output_tokens: int = 0
    output_bytes: int = 0


class Sharder:
    """Takes requests in file order; the memory it needs is a few ranges per shard.

    A shard that is full is closed for good, though a smaller request might still fit: rows that
    stay together are one range in the ledger, and one stretch of the file.
    """

    def __init__(self, limits: ShardLimits) -> None:
        self._limits = limits
        self._open: dict[tuple[str, str], _Filling] = {}
        self._done: list[ShardPlan] = []
        self.cuts: Counter[str] = Counter()  #: by limit ("requests", "bytes"): shards it closed

    def add(self, row: int, request: Request, *more: int) -> None:
        """Put one request into the shard of its kind, closing that shard where it is full.

        `more`: further rows that it carries, in order. They travel together.
        """
        kind = (request.endpoint, request.model)
        filling = self._open.get(kind)
        if filling and (limit := self._full(filling, request)):
            self.cuts[limit] += 1
            self._close(kind)
            filling = None
        if filling is None:
            filling = self._open[kind] = _Filling()
        filling.rows.add(row)
        for other in more:
            filling.rows.add(other)
        filling.requests += 1
        filling.size += request.size
        filling.tokens += request.tokens
        filling.inputs += request.inputs
        filling.output_tokens += request.output_tokens
        filling.output_bytes += request.output_bytes

    def finish(self) -> tuple[ShardPlan, ...]:
        """Close what is open; shards come in the order of their first rows."""
        for kind in list(self._open):
            self._close(kind)
        return tuple(sorted(self._done, key=lambda plan: plan.rows.ranges[0]))

    def _full(self, filling: _Filling, request: Request) -> str | None:
        """Return the limit that keeps a request out; None where it fits."""
        limits = self._limits
        if filling.requests >= limits.max_requests:
            return "requests"
        if filling.size + request.size > limits.max_bytes:
            return "bytes"
        room = limits.enqueued_tokens.get(request.model)
        if room is not None and filling.tokens + request.tokens > room:
            return "tokens"
        if request.inputs and filling.inputs + request.inputs > limits.max_inputs:
            return "inputs"
        if request.inputs and filling.output_bytes + request.output_bytes > limits.max_output_bytes:
            return "output_bytes"
        return None

    def _close(self, kind: tuple[str, str]) -> None:
        filling = self._open.pop(kind)
        self._done.append(
            ShardPlan(
                *kind,
                filling.rows.build(),
                filling.requests,
                filling.size,
                filling.tokens,
                filling.inputs,
                filling.output_tokens,
            )
        )
