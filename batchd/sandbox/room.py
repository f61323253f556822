"""The queue of a model holds so many input tokens; what does not fit is refused (reference B.2)."""

from __future__ import annotations

from batchd.sandbox.batches import Batch, BatchError
from batchd.sandbox.world import World


def tokens_of(size: int) -> int:
    """An estimate, as the API itself seems to make one: a quarter of the bytes."""
    return -(-size // 4)


def no_room(
    world: World, model: str, tokens: int, *, besides: Batch | None = None
) -> BatchError | None:
    """Why so many tokens more are too many, if they are."""
    limit = world.faults.enqueued_token_limit
    if isinstance(limit, dict):
        limit = limit.get(model)
    if limit is None or world.enqueued(model, besides=besides) + tokens <= limit:
        return None
    return BatchError(
        "token_limit_exceeded",
        f"Enqueued token limit reached for {model} in organization org-sandbox. "
        f"Limit: {limit:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed.",
    )
