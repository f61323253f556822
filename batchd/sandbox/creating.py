"""`POST /v1/batches`: what is refused at once (reference B.4), and the batch that comes of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from batchd.core.limits import METADATA_KEY, METADATA_PAIRS, METADATA_VALUE
from batchd.sandbox.batches import Batch, BatchError, Quirks
from batchd.sandbox.dialects import Dialect
from batchd.sandbox.faults import CannotFind, Faults, use_one
from batchd.sandbox.files import RETENTION_SECONDS, StoredFile
from batchd.sandbox.members import check_range, invalid_type, invalid_value, missing, unknown
from batchd.sandbox.room import no_room, tokens_of
from batchd.sandbox.wire import ApiError
from batchd.sandbox.world import World

_HOUR = 3600.0
_FIELDS = (
    "input_file_id",
    "endpoint",
    "completion_window",
    "metadata",
    "output_expires_after",
)


def create(world: World, given: dict[str, Any]) -> Batch:
    """A batch in `validating`, or ApiError."""
    _check(given, world.dialect)
    _check_rate(world)
    tokens = _check_room(world, given["input_file_id"])
    batch = Batch(
        endpoint=given["endpoint"],
        input_file_id=given["input_file_id"],
        completion_window=given.get("completion_window"),
        metadata=given.get("metadata"),
        seconds=_seconds(world, given.get("metadata") or {}),
        output_lifetime=_lifetime(given),
        quirks=_quirks(world.faults),
        id=world.dialect.new_batch_id(),
    )
    if tokens:
        batch.model, batch.tokens = tokens
    batch.doomed = _doom(world, batch)
    world.book.put(batch)
    return batch


def _check_rate(world: World) -> None:
    """So many batches an hour (the guide says 2,000); the body of this 429 was never seen."""
    since = time.monotonic() - _HOUR
    if sum(batch.born > since for batch in world.book) >= world.faults.creates_per_hour:
        raise ApiError(
            429,
            "Rate limit reached for batch creation. Please try again later.",
            code="rate_limit_exceeded",
            kind="requests",
            headers={"retry-after": f"{world.faults.creates_retry_after:g}"},
        )


def _check_room(world: World, file_id: str) -> tuple[str, int] | None:
    """Azure's fail-fast regions refuse a creation where the queue is full (reference I); so what
    is only created has to count at once."""
    file = world.shelf.find(file_id)
    if not world.dialect.refuses_when_full or file is None:
        return None
    model, tokens = _model_of(file), tokens_of(file.bytes)
    if error := no_room(world, model, tokens):
        raise ApiError(400, error.message, code=error.code)
    return model, tokens


def _model_of(file: StoredFile) -> str:
    """Of the first line; what is wrong with it is found later, by the validation."""
    with file.path.open("rb") as source:
        try:
            return str(msgspec.json.decode(source.readline())["body"]["model"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return ""


def _quirks(faults: Faults) -> Quirks:
    now = time.monotonic()
    word = faults.status_word
    return Quirks(
        listed_from=math.inf if faults.hide_from_list else now + faults.listing_lag_seconds,
        word=word.word if word else "",
        word_until=now + word.seconds if word else 0.0,
        no_file="" if faults.empty_file_ids else None,
    )


def _doom(world: World, batch: Batch) -> list[BatchError]:
    """With what it will fail for certain; else its input is kept for as long as it needs it."""
    file = world.shelf.find(batch.input_file_id)
    mode = _lost_mode(world.faults)
    if mode == "http":
        raise ApiError(
            400, _cannot_find(batch.input_file_id, "project proj_sandbox"), param="file_id"
        )
    if file is None or mode == "batch":
        message = _cannot_find(batch.input_file_id, "organization org-sandbox")
        return [BatchError("invalid_request", message, "file_id")]
    if file.purpose != world.dialect.purpose:
        message = f"The input file must have the purpose '{world.dialect.purpose}'."
        raise ApiError(400, message, param="input_file_id")
    # A link, not the file itself: it may be deleted while the batch is on its way.
    os.link(file.path, world.folder / f"{batch.id}_input.jsonl")
    batch.input_sha256 = file.sha256
    return _failure(world.faults)


def _lost_mode(faults: Faults) -> str | None:
    fault = faults.cannot_find_file
    if not isinstance(fault, CannotFind):
        return fault
    happens, fault.times = use_one(fault.times)
    return fault.mode if happens else None


def _cannot_find(file_id: str, who: str) -> str:
    return f"Cannot find file {file_id}, or {who} does not have access to it."


def _failure(faults: Faults) -> list[BatchError]:
    fault = faults.fail_with
    if fault is None:
        return []
    happens, fault.times = use_one(fault.times)
    return [BatchError(fault.code, fault.message, fault.param, fault.line)] if happens else []


def _seconds(world: World, metadata: dict[str, str]) -> float:
    try:
        return float(metadata["sandbox_seconds"])
    except (KeyError, ValueError):
        return world.options.batch_seconds


def _lifetime(given: dict[str, Any]) -> int:
    after = given.get("output_expires_after")
    return after["seconds"] if after else RETENTION_SECONDS


def _check(given: dict[str, Any], dialect: Dialect) -> None:
    """In the API's order: the first thing wrong is the answer."""
    for check in _CHECKS:
        check(given, dialect)


def _check_input_file(given: dict[str, Any], _dialect: Dialect) -> None:
    _require_string(given, "input_file_id")


def _check_endpoint(given: dict[str, Any], dialect: Dialect) -> None:
    endpoint = _require_string(given, "endpoint")
    if endpoint not in dialect.endpoints:
        raise invalid_value("endpoint", endpoint, tuple(dialect.endpoints))


def _check_window(given: dict[str, Any], dialect: Dialect) -> None:
    if dialect.windows is None:
        return
    window = _require_string(given, "completion_window")
    if not dialect.allows_window(window):
        raise invalid_value("completion_window", window, tuple(dialect.windows.split("|")))


def _check_metadata(given: dict[str, Any], _dialect: Dialect) -> None:
    metadata = given.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise invalid_type("metadata", "an object", metadata)
    if len(metadata) > METADATA_PAIRS:
        raise _too_many_pairs(len(metadata))
    for key, value in metadata.items():
        _check_pair(key, value)


def _check_pair(key: str, value: object) -> None:
    param = f"metadata.{key}"
    if not isinstance(value, str):
        raise invalid_type(param, "a string", value)
    if len(key) > METADATA_KEY:
        raise _too_long("metadata", "key", METADATA_KEY, len(key))
    if len(value) > METADATA_VALUE:
        raise _too_long(param, "string", METADATA_VALUE, len(value))


def check_lifetime(after: object, param: str, bounds: tuple[int, int]) -> None:
    """`{"anchor": "created_at", "seconds": 3600..2592000}`, here and in uploads."""
    if after is None:
        return
    if not isinstance(after, dict):
        raise invalid_type(param, "an object", after)
    if after.get("anchor") != "created_at":
        raise invalid_value(f"{param}.anchor", str(after.get("anchor")), ("created_at",))
    seconds = after.get("seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise invalid_type(f"{param}.seconds", "an integer", seconds)
    check_range(f"{param}.seconds", seconds, *bounds)


def _check_lifetime(given: dict[str, Any], dialect: Dialect) -> None:
    if dialect.expiry:
        check_lifetime(given.get("output_expires_after"), "output_expires_after", dialect.expiry)


def _check_unknown(given: dict[str, Any], dialect: Dialect) -> None:
    missing = {"completion_window": dialect.windows, "output_expires_after": dialect.expiry}
    for name in given:
        if name not in _FIELDS or missing.get(name, "") is None:
            raise unknown(name)


_CHECKS: tuple[Callable[[dict[str, Any], Dialect], None], ...] = (
    _check_input_file,
    _check_endpoint,
    _check_window,
    _check_metadata,
    _check_lifetime,
    _check_unknown,
)


def _require_string(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str):
        raise invalid_type(name, "a string", value)
    return value


def _too_many_pairs(count: int) -> ApiError:
    return ApiError(
        400,
        f"Invalid 'metadata': too many properties. Expected an object with at most "
        f"{METADATA_PAIRS} properties, but got an object with {count} properties instead.",
        code="object_above_max_properties",
        param="metadata",
    )


def _too_long(param: str, what: str, limit: int, length: int) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}': {what} too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead.",
        code="string_above_max_length",
        param=param,
    )
