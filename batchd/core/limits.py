"""The provider's published numbers and names, each with its source."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

MAX_REQUESTS = 50_000  # per batch; API reference "Create batch", read 2026-11
MAX_BYTES = 200_000_000  # per input file: docs say 200 MB; 209,715,200 is what the server enforces
HARD_MAX_BYTES = 209_715_200  # the number in the server's own message, seen 2024-07
MAX_UPLOAD_BYTES = 512 * 1024 * 1024  # per file, any purpose; SDK docstring of files.create
MAX_INPUTS = 50_000  # embedding inputs over all lines of a batch; SDK docstring of batches.create
MAX_INPUTS_PER_REQUEST = 2_048  # of /v1/embeddings; the API's own specification
MAX_PER_HOUR = 2_000  # batches created; guide, "Rate limits", in force since 2026-03
ENQUEUED_EMBEDDINGS = 1_000_000  # embedding requests enqueued at once; help centre, "Batch API FAQ"
MIN_KEEP_SECONDS, MAX_KEEP_SECONDS = 3_600, 2_592_000  # `expires_after`; SDK, files and batches
LIST_PAGE = 100  # the largest page of GET /batches; more is refused
FILES_PAGE = 1_000  # of GET /files; 10,000 are allowed, and would be 3 MB of JSON in one go
COMPLETION_WINDOW = "24h"  # the only value of the SDK's Literal
METADATA_PAIRS, METADATA_KEY, METADATA_VALUE = 16, 64, 512  # "Create batch", `metadata`

#: What a batch may be sent to, in the order of the SDK's own Literal (openai 3.52).
ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)

_OWN_PREFIX = "/v1"
#: The longest first: "/chat/completions" ends like "/completions".
_TAILS = tuple(sorted((e.removeprefix(_OWN_PREFIX) for e in ENDPOINTS), key=len, reverse=True))

#: Endpoints that refuse `"stream": true` in a batch (reference "Batch", B.3).
STREAMING_ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/moderations",
)


def accepted(prefixes: Iterable[str]) -> dict[str, str]:
    """Return every url that a line may have, each with the form that `ENDPOINTS` has it in.

    The usual first: people are told of them in this order.
    """
    return {f"{prefix}{e.removeprefix(_OWN_PREFIX)}": e for prefix in prefixes for e in ENDPOINTS}


@lru_cache(maxsize=64)
def canonical(endpoint: str) -> str:
    """Return the "/v1/..." form of a url that was accepted, whatever stands before it.

    Azure's lines say "/chat/completions", Zhipu's "/v4/chat/completions"; they travel as they are,
    and what is known of an endpoint is known by this form. An unknown one comes back as it is.
    """
    for tail in _TAILS:
        if endpoint.endswith(tail):
            return f"{_OWN_PREFIX}{tail}"
    return endpoint
