"""How late the daemon's event loop is while a large file goes through."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import lag
from benchmarks.bench import HERE, Bench
from benchmarks.rows import native
from benchmarks.table import Measure, Row

TITLE = "The event loop's lateness during one native file"


def measure(bench: Bench) -> Row:
    rounds = [_round(bench) for _ in range(bench.rounds)]
    per_cent = f"{100 * lag.PERCENTILE:g}th percentile"
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"{per_cent} above an idle loop's at the same time",
                unit="ms",
                values=tuple(1000 * (_high(ours) - _high(idle)) for ours, idle in rounds),
                bar=50,
                note=f"looked at every {1000 * lag.PAUSE:g} ms, in runs of their own.",
            ),
            Measure(
                what=f"{per_cent}, the daemon",
                unit="ms",
                values=tuple(1000 * _high(ours) for ours, _ in rounds),
            ),
            Measure(
                what=f"{per_cent}, a loop with nothing to do",
                unit="ms",
                values=tuple(1000 * _high(idle) for _, idle in rounds),
            ),
            Measure(
                what="the worst, the daemon",
                unit="ms",
                values=tuple(1000 * max(ours) for ours, _ in rounds),
            ),
        ),
    )


def _high(late: list[float]) -> float:
    return lag.percentile(late)


def _round(bench: Bench) -> tuple[list[float], list[float]]:
    """Return the daemon's lateness and the idle loop's, from the drop to the folder."""
    with bench.scratch() as folder:
        source, ours, idle = bench.native_file(folder), folder / "ours.lag", folder / "idle.lag"
        with (
            _idle_loop(idle),
            bench.house(
                folder,
                batch_seconds=native.BATCH_SECONDS,
                environment={"LAG_FILE": str(ours)},
                module="benchmarks.lag",
            ) as house,
        ):
            started = time.monotonic()
            house.drop(source)
            (done,) = house.wait_for_folders(1)
            ended = time.monotonic()
            time.sleep(1)  # until the samplers have written what they have
        native.check(done, bench.sizes.requests)
        return lag.lateness(ours, started, ended), lag.lateness(idle, started, ended)


@contextmanager
def _idle_loop(path: Path) -> Iterator[None]:
    environment = os.environ | {"LAG_FILE": str(path), "PYTHONPATH": str(HERE.parent)}
    popen = subprocess.Popen([sys.executable, "-m", "benchmarks.lag"], env=environment)
    try:
        yield
    finally:
        popen.kill()
        popen.wait()
