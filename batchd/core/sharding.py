"""Cuts a job into shards: one model and one endpoint each, within the provider's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchd.core.reading import Request
from batchd.core.rows import RowSet, RowSetBuilder

_BYTES_PER_TOKEN = 4  # the usual estimate for English text; reference K.3


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """How large one batch may be."""

    max_requests: int
    max_bytes: int
    enqueued_tokens: Mapping[str, int] = field(default_factory=dict)  #: by model


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


class Sharder:
    """Takes requests in file order; the memory it needs is a few ranges per shard."""

    def __init__(self, limits: ShardLimits) -> None:
        self._limits = limits
        self._open: dict[tuple[str, str], _Filling] = {}
        self._done: list[ShardPlan] = []

    def add(self, row: int, request: Request) -> None:
        """Put one request into the shard of its kind, closing that shard where it is full."""
        kind = (request.endpoint, request.model)
        filling = self._open.get(kind)
        if filling and self._is_full(filling, request):
            self._close(kind)
            filling = None
        if filling is None:
            filling = self._open[kind] = _Filling()
        filling.rows.add(row)
        filling.requests += 1
        filling.size += request.size
        filling.tokens += estimated_tokens(request.size)

    def finish(self) -> tuple[ShardPlan, ...]:
        """Close what is open; shards come in the order of their first rows."""
        for kind in list(self._open):
            self._close(kind)
        return tuple(sorted(self._done, key=lambda plan: plan.rows.ranges[0]))

    def _is_full(self, filling: _Filling, request: Request) -> bool:
        limits = self._limits
        room = limits.enqueued_tokens.get(request.model)
        tokens = filling.tokens + estimated_tokens(request.size)
        return (
            filling.requests >= limits.max_requests
            or filling.size + request.size > limits.max_bytes
            or (room is not None and tokens > room)
        )

    def _close(self, kind: tuple[str, str]) -> None:
        filling = self._open.pop(kind)
        self._done.append(
            ShardPlan(*kind, filling.rows.build(), filling.requests, filling.size, filling.tokens)
        )


def estimated_tokens(size: int) -> int:
    """Estimate the input tokens of a line of `size` bytes: always an estimate, never exact."""
    return -(-size // _BYTES_PER_TOKEN)
