"""A batch as the sandbox knows it, and as the API shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchd.sandbox.production import Production
from batchd.sandbox.wire import new_batch_id

TERMINAL = frozenset({"completed", "failed", "expired", "cancelled"})
WINDOW_SECONDS = 86_400  # expires_at is exactly this after created_at, seen 2025-01
_STAMPS = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


@dataclass(slots=True)
class BatchError:
    """One entry of `errors.data`. `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def as_object(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "line": self.line,
        }


@dataclass(slots=True, kw_only=True)
class Quirks:
    """How faults show in the object; settled at creation. Times are of the monotonic clock."""

    listed_from: float = 0.0  #: infinite: never in any list
    word: str = ""  #: shown for the status...
    word_until: float = 0.0
    no_file: str | None = None  #: the id of a file that does not exist: null, or ""


@dataclass(slots=True, kw_only=True, eq=False)
class Batch:
    """`born` and `begun` are readings of the monotonic clock; the stamps are wall-clock seconds."""

    endpoint: str
    input_file_id: str
    completion_window: str | None
    metadata: dict[str, str] | None
    seconds: float  #: from creation to completion
    output_lifetime: int
    id: str = field(default_factory=new_batch_id)
    created_at: int = field(default_factory=lambda: int(time.time()))
    born: float = field(default_factory=time.monotonic)
    status: str = "validating"
    stamps: dict[str, int] = field(default_factory=dict)
    errors: list[BatchError] = field(default_factory=list)
    model: str | None = None  #: as requested; the object shows the snapshot
    shown_model: str | None = None
    tokens: int = 0  #: estimate of the input: bytes / 4
    total: int = 0
    share: float = 1.0  #: how much of it is executed at all; less for a batch that will expire
    begun: float = 0.0
    ends: float = 0.0  #: when execution is over, on the monotonic clock
    production: Production | None = None
    completed: int = 0
    failed: int = 0
    executed: int = 0
    usage: tuple[int, int] = (0, 0)  #: input and output tokens, once it is over
    output_file_id: str | None = None
    error_file_id: str | None = None
    input_sha256: str = ""
    doomed: list[BatchError] = field(default_factory=list)  #: it fails with these, whatever it is
    cancel_asked: asyncio.Event = field(default_factory=asyncio.Event)
    frozen: int | None = None  #: how many lines were executed when it was cancelled
    quirks: Quirks = field(default_factory=Quirks)

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_cancelled(self) -> bool:
        return self.cancel_asked.is_set()

    @property
    def is_listed(self) -> bool:
        return time.monotonic() >= self.quirks.listed_from

    def cancel(self) -> None:
        """Stop executing; what is done by now is kept."""
        self.frozen = self.done()
        self.enter("cancelling")
        self.cancel_asked.set()
        if self.production:
            self.production.stopped = True

    def enter(self, status: str) -> None:
        """Change the state and stamp the time."""
        self.status = status
        self.stamps[f"{status}_at"] = int(time.time())

    def done(self) -> int:
        """How many lines are executed by now: time decides, as far as answers exist."""
        if self.production is None:
            return self.executed
        if self.frozen is not None:
            return self.frozen
        due = int(self.total * self.share * self._passed() + 1e-9)
        return min(due, self.production.made)

    def _passed(self) -> float:
        """The share of its time of execution that is over. Past in_progress it is all of it."""
        span = self.ends - self.begun
        if self.status != "in_progress" or span <= 0:
            return 1.0
        return min(max((time.monotonic() - self.begun) / span, 0.0), 1.0)

    def counts(self) -> dict[str, int]:
        if self.production is None:
            return {"total": self.total, "completed": self.completed, "failed": self.failed}
        done = self.done()
        completed = self.production.completed(done)
        return {"total": self.total, "completed": completed, "failed": done - completed}

    def as_object(self) -> dict[str, object]:
        """The Batch object as the API sends it (reference A.3), in the order it was seen."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.shown_model,
            "errors": self._errors(),
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self._shown_status(),
            "output_file_id": self.output_file_id or self.quirks.no_file,
            "error_file_id": self.error_file_id or self.quirks.no_file,
            "created_at": self.created_at,
            "expires_at": self.created_at + WINDOW_SECONDS,
            **{stamp: self.stamps.get(stamp) for stamp in _STAMPS},
            "request_counts": self.counts(),
            "usage": self._usage(),
            "metadata": self.metadata,
        }

    def _shown_status(self) -> str:
        quirks = self.quirks
        return quirks.word if time.monotonic() < quirks.word_until else self.status

    def _errors(self) -> dict[str, object] | None:
        if not self.errors:
            return None
        return {"object": "list", "data": [error.as_object() for error in self.errors]}

    def _usage(self) -> dict[str, object]:
        spent_in, spent_out = self.usage
        return {
            "input_tokens": spent_in,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": spent_out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": spent_in + spent_out,
        }


class Book:
    """Every batch by id, in the order of creation."""

    def __init__(self) -> None:
        self._batches: dict[str, Batch] = {}

    def __iter__(self) -> Iterator[Batch]:
        return iter(list(self._batches.values()))

    def put(self, batch: Batch) -> None:
        self._batches[batch.id] = batch

    def find(self, batch_id: str) -> Batch | None:
        return self._batches.get(batch_id)

    def newest_first(self) -> list[Batch]:
        return list(reversed(self._batches.values()))
