"""The one fake provider: in memory, driven by a clock that the test moves, and the same every time.

It passes `tests/remote/test_conformance.py`, the suite of the real client. What it is told to do
wrong is said in words before the daemon runs (`lose_connection_after("create_batch")`), what it
saw is read afterwards (`opened`, `uploads`, `executions`, `calls`).
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batchd.core.errors import RemoteDenied, RemoteError, RemoteRefused, RemoteUnavailable
from batchd.core.limits import (
    COMPLETION_WINDOW,
    ENDPOINTS,
    FILES_PAGE,
    LIST_PAGE,
    MAX_KEEP_SECONDS,
    METADATA_PAIRS,
    MIN_KEEP_SECONDS,
)
from batchd.core.model import (
    Batch,
    BatchError,
    BatchOrder,
    BatchPage,
    BatchStatus,
    Counts,
    FilePage,
    RemoteFile,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Request = dict[str, Any]  #: one parsed line of an uploaded file
Phase = Literal["before", "after"]


class HasNow(Protocol):
    """The part of a clock that a provider needs."""

    def now(self) -> float: ...


@dataclass(frozen=True)
class Fate:
    """How a batch ends, when it is not the ordinary way."""

    status: BatchStatus = BatchStatus.COMPLETED
    fraction: float = 1.0  #: how much of it is executed, from the top of the file
    after_seconds: float | None = None  #: None: `batch_seconds`
    errors: tuple[BatchError, ...] = ()


@dataclass
class Made:
    """A batch as the provider keeps it."""

    id: str
    order: BatchOrder
    created_at: float
    fate: Fate | None = None
    status: BatchStatus = BatchStatus.VALIDATING
    ended_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: Counts = field(default_factory=Counts)
    errors: tuple[BatchError, ...] = ()

    def seen(self) -> Batch:
        return Batch(
            id=self.id,
            status=self.status,
            raw_status=str(self.status),
            input_file_id=self.order.input_file_id,
            output_file_id=self.output_file_id,
            error_file_id=self.error_file_id,
            created_at=self.created_at,
            completed_at=self.ended_at if self.status is BatchStatus.COMPLETED else None,
            expires_at=self.created_at + 86_400,
            counts=self.counts,
            errors=self.errors,
            metadata=dict(self.order.metadata),
        )


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong with one call."""

    phase: Phase  #: "before": nothing was done; "after": it was done, and the answer was lost
    error: RemoteError


@dataclass
class Kept:
    """A file as the provider keeps it."""

    name: str
    content: bytes = field(repr=False)
    purpose: str = "batch"
    created_at: float = 0.0
    expires_at: float = math.inf


def answer_for(request: Request) -> tuple[int, dict[str, Any]]:
    """The ordinary answer: what the endpoint would say, in its shape, and always the same."""
    return 200, ANSWERS.get(request["url"], _chat)(request)


class FakeRemote:
    """A provider to whom nothing happens that a test did not ask for."""

    def __init__(self, clock: HasNow) -> None:
        self._clock = clock
        self.batch_seconds = 10.0  #: from creation to completion, for batches still open too
        self.cancel_seconds = 2.0  #: from the wish to cancel a batch to its end
        self.keep_seconds: int | None = None  #: uploads expire after so long
        self.windows: tuple[str, ...] = (COMPLETION_WINDOW,)  #: the completion windows it offers
        self.listing_lag_seconds = 0.0  #: how long a batch is missing from the list
        self.denied: RemoteDenied | None = None  #: while set, every call is denied with it
        self.answers: Callable[[Request], tuple[int, dict[str, Any]]] = answer_for
        #: custom_id -> status of its first execution, its second, ...; then `answers` decides
        self.verdicts: dict[str, list[int]] = {}

        self.calls: Counter[str] = Counter()  #: by method, refused and lost ones included
        self.uploads: list[tuple[str, bytes]] = []
        self.opened: list[tuple[str | None, str]] = []  #: (metadata "batchd_shard", batch id)
        self.orders: list[BatchOrder] = []  #: as they came, of the batches in `opened`
        self.files: dict[str, Kept] = {}
        self.deleted: list[str] = []  #: the ids of files that were removed on request
        self.closed = False

        self._batches: dict[str, Made] = {}
        self._executions: Counter[str] = Counter()
        self._troubles: defaultdict[str, deque[Trouble]] = defaultdict(deque)
        self._fates: deque[Fate] = deque()
        self._dropped: Counter[str] = Counter()

    # What a test asks for. ----------------------------------------------------------------------

    def lose_connection_after(self, method: str, *, times: int = 1) -> None:
        """The provider acts, and its answer never arrives."""
        self._trouble(method, "after", _lost(method), times)

    def lose_connection_before(self, method: str, *, times: int = 1) -> None:
        """Nothing is done, but the caller can't know: it looks like `lose_connection_after`."""
        self._trouble(method, "before", _lost(method), times)

    def fail(self, method: str, error: RemoteError, *, times: int = 1) -> None:
        """Nothing is done, and the caller is told so by `error`."""
        self._trouble(method, "before", error, times)

    def deny(self, *, status: int = 401, code: str = "invalid_api_key") -> None:
        """Every call is denied until `allow`."""
        self.denied = RemoteDenied("the key is not good", status=status, code=code)

    def allow(self) -> None:
        self.denied = None

    def expire(self, *, fraction: float = 0.5, times: int = 1) -> None:
        """A batch expires with `fraction` of its requests answered, from the top of its file.

        This and its two siblings: the next batches created; where none is created, the next
        that come to their end.
        """
        self._fates.extend([Fate(BatchStatus.EXPIRED, fraction)] * times)

    def cancel_after(self, seconds: float, *, fraction: float = 0.5, times: int = 1) -> None:
        """Somebody cancels a batch on the provider's web page; `fraction` of it was answered."""
        self._fates.extend([Fate(BatchStatus.CANCELLED, fraction, seconds)] * times)

    def fail_batches_with(self, *errors: BatchError, times: int = 1) -> None:
        """A batch is created, and its validation fails: seen at the first look."""
        self._fates.extend([Fate(BatchStatus.FAILED, 0.0, 0.0, errors)] * times)

    def drop(self, custom_id: str, *, times: int = 1) -> None:
        """It is executed, but neither the output nor the error file mentions it."""
        self._dropped[custom_id] += times

    def vanish(self, id: str) -> None:
        """A batch or a file is not there any more."""
        self._batches.pop(id, None)
        self.files.pop(id, None)

    async def effect(self, name: str, phase: Phase) -> None:
        """Called before and after a method that changes something here or there acts (uploads,
        creations, cancellations, deletions, downloads): a test's subclass is killed here."""

    # What a test reads afterwards. --------------------------------------------------------------

    @property
    def executions(self) -> Counter[str]:
        """How often each custom_id was executed up to now: what would be on the bill."""
        self._catch_up()
        return self._executions

    @property
    def batches(self) -> list[Batch]:
        """Every batch, oldest first, as it is now."""
        self._catch_up()
        return [made.seen() for made in self._batches.values()]

    # The provider (`batchd.remote.api.Remote`). -------------------------------------------------

    async def upload(self, path: Path, *, name: str) -> str:
        async with self._call("upload", acts=True):
            content = path.read_bytes()
            if not content.strip():
                raise RemoteRefused("Invalid file format for Batch API. Must be .jsonl", status=400)
            file_id = f"file-{len(self.uploads) + 1:06}"
            self.uploads.append((name, content))
            expires_at = self._clock.now() + (self.keep_seconds or MAX_KEEP_SECONDS)
            self.files[file_id] = Kept(
                name, content, created_at=self._clock.now(), expires_at=expires_at
            )
        return file_id

    async def create_batch(self, order: BatchOrder) -> Batch:
        async with self._call("create_batch", acts=True):
            _check(order, self.windows)
            self.orders.append(order)
            made = Made(f"batch_{len(self.opened) + 1:06}", order, self._clock.now())
            if self._fates:
                made.fate = self._fates.popleft()
            self._batches[made.id] = made
            self.opened.append((order.metadata.get("batchd_shard"), made.id))
            created = made.seen()
        return created

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        async with self._call("list_batches"):
            listed = self._listed(after)
        return BatchPage(tuple(listed[:LIST_PAGE]), has_more=len(listed) > LIST_PAGE)

    async def retrieve_batch(self, batch_id: str) -> Batch:
        async with self._call("retrieve_batch"):
            if batch_id not in self._batches:
                raise _no_batch(batch_id)
            found = self._batches[batch_id].seen()
        return found

    async def cancel_batch(self, batch_id: str) -> Batch:
        async with self._call("cancel_batch", acts=True):
            if batch_id not in self._batches:
                raise _no_batch(batch_id)
            self._cancel(self._batches[batch_id])
            cancelled = self._batches[batch_id].seen()
        return cancelled

    async def list_files(self, *, after: str | None = None) -> FilePage:
        async with self._call("list_files"):
            listed = self._listed_files(after)
        return FilePage(tuple(listed[:FILES_PAGE]), has_more=len(listed) > FILES_PAGE)

    async def delete_file(self, file_id: str) -> bool:
        async with self._call("delete_file", acts=True):
            gone = self.files.pop(file_id, None)
            if gone:
                self.deleted.append(file_id)
        return gone is not None

    async def file_exists(self, file_id: str) -> bool:
        async with self._call("file_exists"):
            there = file_id in self.files
        return there

    async def download(self, file_id: str, to: Path) -> int:
        async with self._call("download", acts=True):
            if file_id not in self.files:
                raise RemoteRefused(f"No such File object: {file_id}", status=404)
            length = to.write_bytes(self.files[file_id].content)
        return length

    async def close(self) -> None:
        self.closed = True

    # How it works. ------------------------------------------------------------------------------

    def _trouble(self, method: str, phase: Phase, error: RemoteError, times: int) -> None:
        assert callable(getattr(self, method)), method
        self._troubles[method].extend([Trouble(phase, error)] * times)

    @asynccontextmanager
    async def _call(self, method: str, *, acts: bool = False) -> AsyncIterator[None]:
        """Around every method: count it, let time pass, and let go wrong what shall go wrong."""
        self.calls[method] += 1
        self._catch_up()
        if self.denied:
            raise self.denied
        trouble = self._troubles[method].popleft() if self._troubles[method] else None
        if trouble and trouble.phase == "before":
            raise trouble.error
        if acts:
            await self.effect(method, "before")
        yield
        if acts:
            await self.effect(method, "after")
        if trouble:
            raise trouble.error

    def _listed(self, after: str | None) -> list[Batch]:
        """Newest first. A batch that is not listed yet can be a cursor all the same."""
        newest_first = list(reversed(self._batches.values()))
        if after is not None:
            if after not in self._batches:
                raise _no_batch(after)
            newest_first = newest_first[newest_first.index(self._batches[after]) + 1 :]
        made_by = self._clock.now() - self.listing_lag_seconds
        return [made.seen() for made in newest_first if made.created_at <= made_by]

    def _listed_files(self, after: str | None) -> list[RemoteFile]:
        """Newest first, and only what was uploaded."""
        newest_first = [id for id, file in self.files.items() if file.purpose == "batch"][::-1]
        if after is not None:
            if after not in newest_first:
                raise RemoteRefused(f"No such File object: {after}", status=404)
            newest_first = newest_first[newest_first.index(after) + 1 :]
        return [_file_seen(id, self.files[id]) for id in newest_first]

    def _cancel(self, made: Made) -> None:
        """What was executed by now is kept: time decides, as in the sandbox."""
        if made.status.is_end or made.status is BatchStatus.CANCELLING:
            return
        passed = self._clock.now() - made.created_at
        done = passed / self.batch_seconds if self.batch_seconds else 1.0
        made.fate = Fate(BatchStatus.CANCELLED, min(done, 1.0), passed + self.cancel_seconds)
        made.status = BatchStatus.CANCELLING

    def _catch_up(self) -> None:
        """Let everything happen that should have happened by now, in its order."""
        for made in sorted(self._batches.values(), key=self._ends_at):
            if made.status.is_end:
                continue
            if self._ends_at(made) <= self._clock.now():
                self._end(made)
            elif made.status is BatchStatus.CANCELLING:
                continue
            elif made.created_at < self._clock.now():
                made.status = BatchStatus.IN_PROGRESS
                made.counts = Counts(total=len(self._lines(made)))
        for id, file in list(self.files.items()):
            if file.expires_at <= self._clock.now():
                del self.files[id]

    def _ends_at(self, made: Made) -> float:
        wish = made.fate.after_seconds if made.fate else None
        return made.created_at + (self.batch_seconds if wish is None else wish)

    def _lines(self, made: Made) -> list[bytes]:
        kept = self.files.get(made.order.input_file_id)
        return kept.content.splitlines() if kept else []

    def _end(self, made: Made) -> None:
        fate = made.fate or (self._fates.popleft() if self._fates else Fate())
        was_cancelled = made.status is BatchStatus.CANCELLING
        errors = () if was_cancelled else fate.errors or tuple(self._mistakes(made))
        made.ended_at = self._clock.now()
        if errors or fate.status is BatchStatus.FAILED:
            made.status, made.errors = BatchStatus.FAILED, errors
            return
        made.status = fate.status
        if made.counts.total or not was_cancelled:  # else it had not even been validated
            self._answer(made, fate)

    def _mistakes(self, made: Made) -> Iterator[BatchError]:
        """The few that every provider finds; the sandbox knows them all."""
        if made.order.input_file_id not in self.files:
            message = f"Cannot find file {made.order.input_file_id}, or organization org-fake does"
            yield BatchError("invalid_request", f"{message} not have access to it.", "file_id")
        for number, line in enumerate(self._lines(made), 1):
            try:
                url = json.loads(line)["url"]
            except (ValueError, KeyError, TypeError):
                message = "This line is not parseable as valid JSON."
                yield BatchError("invalid_json_line", message, line=number)
                continue
            if url != made.order.endpoint:
                message = "The URL provided for this request does not match the batch endpoint."
                yield BatchError("invalid_url", message, "url", number)

    def _answer(self, made: Made, fate: Fate) -> None:
        requests: list[Request] = [json.loads(line) for line in self._lines(made)]
        executed = round(len(requests) * fate.fraction)
        lines = [self._execute(made, request) for request in requests[:executed]]
        left = [_never_executed(made, request, fate.status) for request in requests[executed:]]
        good = [line for line in lines if line and line["response"]["status_code"] < 400]
        bad = [line for line in lines if line and line["response"]["status_code"] >= 400]
        made.output_file_id = self._keep(made, "output", good)
        made.error_file_id = self._keep(made, "error", bad + left)
        # As at OpenAI: what expired or was cancelled is counted in `total` only (reference C.5).
        made.counts = Counts(len(requests), completed=len(good), failed=len(bad))

    def _execute(self, made: Made, request: Request) -> dict[str, Any] | None:
        custom_id = request["custom_id"]
        turn, statuses = self._executions[custom_id], self.verdicts.get(custom_id, [])
        self._executions[custom_id] += 1
        if self._dropped[custom_id] > 0:
            self._dropped[custom_id] -= 1
            return None
        if turn < len(statuses) and statuses[turn] >= 400:
            status, body = statuses[turn], _error_body(statuses[turn])
        else:
            status, body = self.answers(request)
        response = {"status_code": status, "request_id": f"req_{custom_id}", "body": body}
        return _line(made, custom_id, response=response)

    def _keep(self, made: Made, kind: str, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None
        name, now = f"{made.id}_{kind}.jsonl", self._clock.now()
        random.Random(name).shuffle(lines)  # the order is nobody's to rely on (reference C.7)
        file_id = f"file-{name.removesuffix('.jsonl')}"
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        lifetime = made.order.output_expires_seconds or MAX_KEEP_SECONDS
        self.files[file_id] = Kept(name, content, "batch_output", now, now + lifetime)
        return file_id


def _file_seen(id: str, file: Kept) -> RemoteFile:
    return RemoteFile(id, file.name, len(file.content), file.created_at)


def _lost(method: str) -> RemoteUnavailable:
    return RemoteUnavailable(f"{method}: the connection was lost", may_have_happened=True)


def _no_batch(batch_id: str) -> RemoteRefused:
    return RemoteRefused(f"No batch found with id '{batch_id}'.", status=404)


def _check(order: BatchOrder, windows: tuple[str, ...]) -> None:
    lifetime = order.output_expires_seconds or MAX_KEEP_SECONDS
    wrong = [
        ("endpoint", order.endpoint not in ENDPOINTS),
        ("completion_window", order.completion_window not in windows),
        ("metadata", len(order.metadata) > METADATA_PAIRS),
        ("output_expires_after", not MIN_KEEP_SECONDS <= lifetime <= MAX_KEEP_SECONDS),
    ]
    for param, is_wrong in wrong:
        if is_wrong:
            raise RemoteRefused(f"Invalid value: '{param}'.", status=400, code="invalid_value")


def _line(made: Made, custom_id: str, *, response: Any = None, error: Any = None) -> dict[str, Any]:
    id = f"batch_req_{made.id}_{custom_id}"
    return {"id": id, "custom_id": custom_id, "response": response, "error": error}


def _never_executed(made: Made, request: Request, status: BatchStatus) -> dict[str, Any]:
    message = "This request could not be executed before the completion window expired."
    if status is BatchStatus.CANCELLED:
        message = "This request was not executed because the batch was cancelled."
    error = {"code": f"batch_{status}", "message": message}
    return _line(made, request["custom_id"], error=error)


def _error_body(status: int) -> dict[str, Any]:
    kinds = {429: "rate_limit_exceeded", 400: "invalid_request_error"}
    code = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": f"status {status}, as asked", "type": code, "param": None, "code": code}
    return {"error": error}


def _chat(request: Request) -> dict[str, Any]:
    message = {"role": "assistant", "content": _text(request), "refusal": None}
    return {
        "id": f"chatcmpl-{request['custom_id']}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": _model(request),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def _responses(request: Request) -> dict[str, Any]:
    content = [{"type": "output_text", "text": _text(request), "annotations": []}]
    return {
        "id": f"resp_{request['custom_id']}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "model": _model(request),
        "output": [{"type": "message", "role": "assistant", "content": content}],
        "usage": {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 3,
            "total_tokens": 15,
        },
    }


def _embeddings(request: Request) -> dict[str, Any]:
    inputs = request["body"].get("input", "")
    count = len(inputs) if isinstance(inputs, list) else 1
    data = [
        {"object": "embedding", "index": i, "embedding": [0.25, -0.5, float(i)]}
        for i in range(count)
    ]
    usage = {"prompt_tokens": 12 * count, "total_tokens": 12 * count}
    return {"object": "list", "data": data, "model": _model(request), "usage": usage}


ANSWERS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
    "/v1/embeddings": _embeddings,
}


def _text(request: Request) -> str:
    return f"answer to {request['custom_id']}"


def _model(request: Request) -> str:
    return str(request["body"].get("model", "gpt-fake"))
