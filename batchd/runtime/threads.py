"""Work that would block the loop, done beside it, and stopped when nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import from_thread, to_thread

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread and wait for it.

    Long work calls `pause` now and then: a validation of two gigabytes must not keep a stopping
    daemon alive.
    """
    return await to_thread.run_sync(partial(work, *args, **kwargs))


def pause() -> None:
    """Stop here when the task that waits for this thread was cancelled. Only inside `in_thread`."""
    from_thread.check_cancelled()


async def finish_undisturbed(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run short work that is not to be given up half-way, such as a rename and its fsync."""
    with anyio.CancelScope(shield=True):
        result = await in_thread(work, *args, **kwargs)
    return result
