"""`/v1/embeddings`: unit vectors that belong to their inputs (reference H)."""

from __future__ import annotations

import base64
import struct
from typing import Any

from batchd.sandbox.digests import digest_of, unit_vector
from batchd.sandbox.members import missing, number
from batchd.sandbox.models import snapshot
from batchd.sandbox.prompts import estimate_tokens
from batchd.sandbox.wire import ApiError

_DIMENSIONS = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_MAX_DIMENSIONS = 3072
_MAX_INPUTS = 2048  # per request; API reference "Create embeddings"


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    inputs = _inputs(body.get("input"))
    model = body["model"]
    dimensions = number(body, "dimensions", 1, _MAX_DIMENSIONS) or _DIMENSIONS.get(
        model, _DEFAULT_DIMENSIONS
    )
    as_base64 = body.get("encoding_format") == "base64"
    tokens = sum(_tokens(each) for each in inputs)
    return {
        "object": "list",
        "data": [
            _item(index, digest_of(each), dimensions, as_base64)
            for index, each in enumerate(inputs)
        ],
        "model": snapshot(model),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(given: object) -> list[Any]:
    """A string or a list of tokens is one input; a list of either is several."""
    if given is None:
        raise missing("input")
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not inputs or not all(_is_input(each) for each in inputs):
        raise ApiError(400, "'$.input' is invalid. Please check the API reference.")
    if len(inputs) > _MAX_INPUTS:
        raise ApiError(
            400,
            f"Invalid 'input': array too long. Expected an array with maximum length "
            f"{_MAX_INPUTS}, but got an array with length {len(inputs)} instead.",
            code="array_above_max_length",
            param="input",
        )
    return inputs


def _is_input(each: object) -> bool:
    return (isinstance(each, str) and each != "") or (isinstance(each, list) and _is_tokens(each))


def _is_tokens(given: list[Any]) -> bool:
    return bool(given) and isinstance(given[0], int)


def _tokens(each: str | list[int]) -> int:
    return len(each) if isinstance(each, list) else estimate_tokens(each)


def _item(index: int, seed: str, dimensions: int, as_base64: bool) -> dict[str, Any]:
    vector = unit_vector(seed, dimensions)
    shown = _little_floats(vector) if as_base64 else vector
    return {"object": "embedding", "index": index, "embedding": shown}


def _little_floats(vector: list[float]) -> str:
    """32-bit floats, little end first, as the API encodes them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
