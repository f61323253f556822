"""`POST /v1/batches`: what is refused at once (reference B.4), and the batch that comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from batchd.core.limits import COMPLETION_WINDOW, METADATA_KEY, METADATA_PAIRS, METADATA_VALUE
from batchd.sandbox.answers import SERVED
from batchd.sandbox.batches import Batch
from batchd.sandbox.files import RETENTION_SECONDS
from batchd.sandbox.wire import ApiError
from batchd.sandbox.world import World

_FIELDS = (
    "input_file_id",
    "endpoint",
    "completion_window",
    "metadata",
    "output_expires_after",
)
_NAMES_OF_TYPES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def create(world: World, given: dict[str, Any]) -> Batch:
    """A batch in `validating`, or ApiError."""
    _check(given)
    batch = Batch(
        endpoint=given["endpoint"],
        input_file_id=given["input_file_id"],
        completion_window=given["completion_window"],
        metadata=given.get("metadata"),
        seconds=_seconds(world, given.get("metadata") or {}),
        output_lifetime=_lifetime(given),
    )
    _take_input(world, batch)
    world.book.put(batch)
    return batch


def _take_input(world: World, batch: Batch) -> None:
    """Keep the input for as long as the batch needs it, even if the file is deleted meanwhile."""
    file = world.shelf.find(batch.input_file_id)
    if file is None:
        return  # found out while validating, as the API does since 2025
    batch.input_sha256 = file.sha256
    os.link(file.path, world.folder / f"{batch.id}_input.jsonl")


def _seconds(world: World, metadata: dict[str, str]) -> float:
    try:
        return float(metadata["sandbox_seconds"])
    except (KeyError, ValueError):
        return world.options.batch_seconds


def _lifetime(given: dict[str, Any]) -> int:
    after = given.get("output_expires_after")
    return after["seconds"] if after else RETENTION_SECONDS


def _check(given: dict[str, Any]) -> None:
    """In the API's order: the first thing wrong is the answer."""
    for check in _CHECKS:
        check(given)


def _check_input_file(given: dict[str, Any]) -> None:
    _require_string(given, "input_file_id")


def _check_endpoint(given: dict[str, Any]) -> None:
    endpoint = _require_string(given, "endpoint")
    if endpoint not in SERVED:
        raise _invalid_value("endpoint", endpoint, SERVED)


def _check_window(given: dict[str, Any]) -> None:
    window = _require_string(given, "completion_window")
    if window != COMPLETION_WINDOW:
        raise _invalid_value("completion_window", window, (COMPLETION_WINDOW,))


def _check_metadata(given: dict[str, Any]) -> None:
    metadata = given.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise _invalid_type("metadata", "an object", metadata)
    if len(metadata) > METADATA_PAIRS:
        raise _too_many_pairs(len(metadata))
    for key, value in metadata.items():
        _check_pair(key, value)


def _check_pair(key: str, value: object) -> None:
    param = f"metadata.{key}"
    if not isinstance(value, str):
        raise _invalid_type(param, "a string", value)
    if len(key) > METADATA_KEY:
        raise _too_long("metadata", "key", METADATA_KEY, len(key))
    if len(value) > METADATA_VALUE:
        raise _too_long(param, "string", METADATA_VALUE, len(value))


def check_lifetime(after: object, param: str) -> None:
    """`{"anchor": "created_at", "seconds": 3600..2592000}`, here and in uploads."""
    if after is None:
        return
    if not isinstance(after, dict):
        raise _invalid_type(param, "an object", after)
    if after.get("anchor") != "created_at":
        raise _invalid_value(f"{param}.anchor", str(after.get("anchor")), ("created_at",))
    seconds = after.get("seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise _invalid_type(f"{param}.seconds", "an integer", seconds)
    check_range(f"{param}.seconds", seconds, 3600, RETENTION_SECONDS)


def check_range(param: str, value: int, low: int, high: int) -> None:
    if value < low:
        raise _outside(param, value, "below", f">= {low}")
    if value > high:
        raise _outside(param, value, "above", f"<= {high}")


def _check_lifetime(given: dict[str, Any]) -> None:
    check_lifetime(given.get("output_expires_after"), "output_expires_after")


def _check_unknown(given: dict[str, Any]) -> None:
    for name in given:
        if name not in _FIELDS:
            raise ApiError(
                400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name
            )


_CHECKS: tuple[Callable[[dict[str, Any]], None], ...] = (
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
        raise ApiError(
            400,
            f"Missing required parameter: '{name}'.",
            code="missing_required_parameter",
            param=name,
        )
    if not isinstance(value, str):
        raise _invalid_type(name, "a string", value)
    return value


def _invalid_type(param: str, expected: str, value: object) -> ApiError:
    found = _NAMES_OF_TYPES[type(value)]
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {found} instead.",
        code="invalid_type",
        param=param,
    )


def _invalid_value(param: str, value: str, supported: tuple[str, ...]) -> ApiError:
    words = ", ".join(f"'{each}'" for each in supported)
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {words}.",
        code="invalid_value",
        param=param,
    )


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


def _outside(param: str, value: int, side: str, wanted: str) -> ApiError:
    bound = "minimum" if side == "below" else "maximum"
    return ApiError(
        400,
        f"Invalid '{param}': integer {side} {bound} value. "
        f"Expected a value {wanted}, but got {value} instead.",
        code=f"integer_{side}_{bound[:3]}_value",
        param=param,
    )
