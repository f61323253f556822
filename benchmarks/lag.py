"""An event loop that writes down how late it is. `LAG_FILE=... python -m benchmarks.lag [run ...]`

With arguments it is batchd itself, started as `python -m batchd` starts it; without, a loop that
has nothing else to do, which is what the machine's own lateness looks like. The product's own look
(runtime/lateness.py) tells the worst of a minute; a percentile needs every sample.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

PAUSE = 0.002  #: seconds between two looks
WRITE_EVERY = 250  #: looks: a daemon that leaves at once leaves half a second unwritten
PERCENTILE = 0.999


class Sampler:
    """Notes when it was woken and how late that was, both in seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path) -> None:
        self._loop, self._samples = loop, array("d")
        self._file = path.open("ab", buffering=0)
        self._due = 0.0

    def start(self) -> None:
        self._due = time.monotonic() + PAUSE
        self._loop.call_later(PAUSE, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        self._samples.extend((now, now - self._due))
        if len(self._samples) >= 2 * WRITE_EVERY:
            self._file.write(self._samples.tobytes())
            del self._samples[:]
        self.start()


class Policy(asyncio.DefaultEventLoopPolicy):
    """Every loop has a sampler."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        loop.call_soon(Sampler(loop, Path(os.environ["LAG_FILE"])).start)
        return loop


def lateness(path: Path, since: float, until: float) -> list[float]:
    """Read how late the looks between two moments were, in seconds."""
    samples = array("d")
    content = path.read_bytes()
    samples.frombytes(content[: len(content) // 16 * 16])
    pairs = zip(samples[::2], samples[1::2], strict=True)
    return [late for at, late in pairs if since <= at <= until]


def percentile(values: Sequence[float], share: float = PERCENTILE) -> float:
    """The value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def main() -> None:
    asyncio.set_event_loop_policy(Policy())
    if sys.argv[1:]:
        from batchd.cli import main as batchd

        batchd()
    else:
        asyncio.run(asyncio.sleep(86_400))


if __name__ == "__main__":
    main()
