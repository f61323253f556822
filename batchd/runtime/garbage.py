"""Keeps Python's garbage collector from holding everybody while a storm of files is looked at.

A full collection looks at every object there is, and all threads wait: 1.9 s were measured with
100,000 files in the inbox. What is remembered of files is no garbage and in no cycle, so that
there is nothing in it to look at: it goes as soon as nobody refers to it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MANY = 10_000  #: files; with fewer a full collection takes less than a tenth of a second


@contextmanager
def blind() -> Iterator[None]:
    """Keep it from looking, again and again, at what a program imports: all of that stays for good.

    The daemon's imports took 0.83 s of CPU with it and 0.72 s without; and what was made here is not
    looked at later either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Collector:
    """The one that a process has; for one caller at a time."""

    def __init__(self) -> None:
        self._is_frozen = False

    @contextmanager
    def kept_out(self, count: Callable[[], int]) -> Iterator[None]:
        """Let it look at nothing made in this block, where that proves to be of many files."""
        if self._is_frozen:
            gc.collect(1)  # of the young only: what is garbage now must not be frozen with the rest
        gc.disable()
        try:
            yield
        finally:
            self._freeze(count() > MANY)
            gc.enable()

    def _freeze(self, many: bool) -> None:
        if many:
            gc.freeze()
        elif self._is_frozen:
            gc.unfreeze()  # the storm is over, and whatever was caught in it is looked at again
        self._is_frozen = many
