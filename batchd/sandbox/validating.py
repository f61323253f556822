"""What the API finds wrong with an input file: every bad line, in order, with its code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from batchd.core.limits import HARD_MAX_BYTES, MAX_REQUESTS, STREAMING_ENDPOINTS
from batchd.sandbox.batches import BatchError
from batchd.sandbox.lines import Lines

_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("custom_id", str, "string"),
    ("method", str, "string"),
    ("url", str, "string"),
    ("body", dict, "JSON dictionary object"),
)
#: What a body must carry, besides its model: any of these members.
_NEEDED = {
    "/v1/chat/completions": ("messages",),
    "/v1/responses": ("input", "prompt"),
    "/v1/embeddings": ("input",),
    "/v1/completions": ("prompt",),
    "/v1/moderations": ("input",),
}
_STREAM_NAMES = {
    "/v1/chat/completions": "Chat Completions",
    "/v1/responses": "Responses",
    "/v1/completions": "Completions",
    "/v1/moderations": "Moderations",
}
_MAX_EMBEDDING_INPUTS = 50_000  # over all lines of a batch; SDK docstring of batches.create


class Examination:
    """One reading of an input file. `errors`, `lines` and `model` hold once `steps` is exhausted."""

    def __init__(
        self,
        lines: Lines,
        endpoint: str,
        is_known_model: Callable[[str], bool],
        *,
        kind: str | None = None,
    ) -> None:
        """`endpoint` is how the batch writes it, `kind` which one it is, where that differs."""
        self.lines = lines
        self.model: str | None = None
        self.errors: list[BatchError] = []
        self._endpoint, self._kind = endpoint, kind or endpoint
        self._is_known_model = is_known_model
        self._names: set[str] = set()
        self._inputs = 0

    def steps(self) -> Iterator[None]:
        for number, line in enumerate(self.lines.first_reading(), start=1):
            if number <= MAX_REQUESTS:
                self.errors += [self._at(number, error) for error in self._faults_of(line)]
            yield
        self._names.clear()
        self._judge_the_whole()

    def _judge_the_whole(self) -> None:
        """What is wrong with the file as such comes alone; it is found before any line is."""
        if not len(self.lines):
            self.errors = [_EMPTY]
        elif self.lines.size > HARD_MAX_BYTES:
            self.errors = [_too_large(self.model)]
        elif len(self.lines) > MAX_REQUESTS:
            self.errors = [_TOO_MANY]
        elif self._inputs > _MAX_EMBEDDING_INPUTS:
            self.errors = [_TOO_MANY_INPUTS]

    @staticmethod
    def _at(number: int, error: BatchError) -> BatchError:
        error.line = number
        return error

    def _faults_of(self, line: bytes) -> Iterator[BatchError]:
        request = _parsed(line)
        if request is None:
            yield BatchError("invalid_json_line", "This line is not parseable as valid JSON.")
            return
        missing = list(_missing_members(request))
        if missing:
            yield from missing
            return
        yield from self._faults_of_request(request)

    def _faults_of_request(self, request: dict[str, Any]) -> Iterator[BatchError]:
        name, body = request["custom_id"], request["body"]
        if name in self._names:
            yield _duplicate(name)
        self._names.add(name)
        if request["method"] != "POST":
            yield BatchError("invalid_request", "Method must be POST.", "method")
        if request["url"] != self._endpoint:
            yield BatchError(
                "invalid_url",
                "The URL provided for this request does not match the batch endpoint.",
                "url",
            )
            return
        yield from self._faults_of_model(body.get("model"))
        yield from self._faults_of_body(body)

    def _faults_of_model(self, model: object) -> Iterator[BatchError]:
        if model is None:
            yield BatchError("invalid_request", "Model parameter is required.", "body.model")
        elif not isinstance(model, str):
            yield BatchError("invalid_request", "Model must be a string.", "body.model")
        elif not self._is_known_model(model):
            yield BatchError(
                "model_not_found",
                f"The provided model '{model}' is not supported by the Batch API.",
                "body.model",
            )
        elif self.model is not None and model != self.model:
            yield _mismatched(model)
        else:
            self.model = model

    def _faults_of_body(self, body: dict[str, Any]) -> Iterator[BatchError]:
        needed = _NEEDED[self._kind]
        if all(body.get(member) is None for member in needed):
            name = needed[0]
            yield BatchError(
                "invalid_request",
                f"{name.capitalize()} parameter is required.",
                f"body.{name}",
            )
        if body.get("stream") and self._kind in STREAMING_ENDPOINTS:
            kind = _STREAM_NAMES[self._kind]
            yield BatchError(
                "streaming_unsupported",
                f"{kind}: Streaming is not supported in the Batch API.",
                "body.stream",
            )
        if self._kind == "/v1/embeddings":
            self._inputs += _number_of_inputs(body.get("input"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A JSON object, or nothing. A BOM, NaN or a lone surrogate is no JSON here."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _missing_members(request: dict[str, Any]) -> Iterator[BatchError]:
    for name, kind, words in _MEMBERS:
        if name not in request:
            yield BatchError(
                "missing_required_parameter", f"Missing required parameter: '{name}'.", name
            )
        elif not isinstance(request[name], kind):
            shown = "URL" if name == "url" else name.capitalize()
            yield BatchError("invalid_request", f"{shown} must be a {words}.", name)


def _number_of_inputs(value: object) -> int:
    """A string or a list of tokens is one input; a list of either is as many as it has."""
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return len(value)
    return 1


def _duplicate(name: str) -> BatchError:
    return BatchError(
        "duplicate_custom_id",
        f"The custom_id '{name}' for this request is a duplicate of another request. "
        "The custom_id parameter must be unique for each request in a batch.",
    )


def _mismatched(model: str) -> BatchError:
    return BatchError(
        "mismatched_model",
        f"The model '{model}' for this request does not match the rest of the batch. "
        "Each batch must contain requests for a single model.",
    )


def _too_large(model: str | None) -> BatchError:
    return BatchError(
        "invalid_request",  # the code of this message was never seen
        f"The batch input file is larger than the {HARD_MAX_BYTES} maximum for the "
        f"{model or 'requested'} model. Please try again with a smaller batch.",
    )


_EMPTY = BatchError(
    "empty_file",
    "The input file is empty. Please ensure that the batch contains at least one request.",
)
_TOO_MANY = BatchError(
    "too_many_tasks",  # Azure's code; OpenAI's own was never seen
    f"The batch input file contains more than the {MAX_REQUESTS} maximum number of requests.",
)
_TOO_MANY_INPUTS = BatchError(
    "too_many_tasks",
    f"The batch contains more than the {_MAX_EMBEDDING_INPUTS} maximum number of embedding inputs.",
)
