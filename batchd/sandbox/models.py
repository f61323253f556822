"""Which models there are, and what an alias stands for."""

from __future__ import annotations

import re

#: alias -> the snapshot that answers for it, as seen in `body.model` 2024 to 2026
SNAPSHOTS = {
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "o3": "o3-2025-04-16",
    "o3-mini": "o3-mini-2025-01-31",
    "o4-mini": "o4-mini-2025-04-16",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def snapshot(model: str) -> str:
    return SNAPSHOTS.get(model, model)


def is_known(model: str) -> bool:
    """Any sane name is a model, but for those that say they are none."""
    return _NAME.fullmatch(model) is not None and not model.startswith("no-such-")
