"""Members of a request's body, with the API's complaint where one has the wrong type."""

from __future__ import annotations

from typing import Any

from batchd.sandbox.wire import ApiError

_NAMES_OF_TYPES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def missing(name: str) -> ApiError:
    return ApiError(
        400,
        f"Missing required parameter: '{name}'.",
        code="missing_required_parameter",
        param=name,
    )


def unknown(name: str) -> ApiError:
    return ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def invalid_type(param: str, expected: str, value: object) -> ApiError:
    found = _NAMES_OF_TYPES[type(value)]
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {found} instead.",
        code="invalid_type",
        param=param,
    )


def invalid_value(param: str, value: str, supported: tuple[str, ...]) -> ApiError:
    words = ", ".join(f"'{each}'" for each in supported)
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {words}.",
        code="invalid_value",
        param=param,
    )


def check_range(param: str, value: int, low: int, high: int) -> None:
    if value < low:
        raise _outside(param, value, "below", f">= {low}")
    if value > high:
        raise _outside(param, value, "above", f"<= {high}")


def _outside(param: str, value: int, side: str, wanted: str) -> ApiError:
    bound = "minimum" if side == "below" else "maximum"
    return ApiError(
        400,
        f"Invalid '{param}': integer {side} {bound} value. "
        f"Expected a value {wanted}, but got {value} instead.",
        code=f"integer_{side}_{bound[:3]}_value",
        param=param,
    )


def number(body: dict[str, Any], name: str, low: int, high: int) -> int | None:
    """An integer member within its range; None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_type(name, "an integer", value)
    check_range(name, value, low, high)
    return value


def mapping(body: dict[str, Any], name: str, param: str | None = None) -> dict[str, Any]:
    """An object member; empty when it is absent or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_type(param or name, "an object", value)
    return value


def text(body: dict[str, Any], name: str) -> str | None:
    """A string member; None when it is absent or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_type(name, "a string", value)
    return value


def page_limit(given: str | None, *, default: int, most: int) -> int:
    """The `limit` of a listing's query."""
    if given is None:
        return default
    try:
        limit = int(given)
    except ValueError as error:
        raise invalid_type("limit", "an integer", given) from error
    check_range("limit", limit, 1, most)
    return limit
