"""Work that would block the loop, done beside it, and stopped when nobody waits for it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import from_thread, to_thread

#: Of each thread. A hundred thousand brackets are a RecursionError where there is room for it, and
#: the end of the process where there isn't: Python 3.13 needed more than 2 MiB, musl gives 128 KiB.
STACK_BYTES = 16 * 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


def make_stacks_roomy() -> None:
    """Give threads begun from now on the stack that decoding strangers' JSON needs."""
    threading.stack_size(STACK_BYTES)


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
