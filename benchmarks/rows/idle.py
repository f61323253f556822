"""A daemon with nothing to do, and an inbox full of files that are not its."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.measuring import wakeups_of
from benchmarks.table import Measure, Row

TITLE = "Idle, with thousands of ignored files in the inbox"
#: As it comes, where the other rows are in a hurry.
AS_IT_COMES: dict[str, Any] = {
    "inbox__settle_seconds": 2.0,
    "inbox__scan_seconds": 5.0,
    "batches__poll_min_seconds": 15.0,
    "batches__poll_max_seconds": 300.0,
}


def measure(bench: Bench) -> Row:
    rounds = [_round(bench) for _ in range(bench.rounds)]
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"share of a core, {bench.sizes.ignored:,} ignored files",
                unit="%",
                values=tuple(share for share, _ in rounds),
                bar=0.5,
            ),
            Measure(
                what="wake-ups of its threads per second",
                unit="",
                values=tuple(wakeups for _, wakeups in rounds),
                bar=30,
            ),
        ),
    )


def _round(bench: Bench) -> tuple[float, float]:
    with bench.scratch() as folder:
        inbox = folder / "root" / "inbox"
        inbox.mkdir(parents=True)
        for number in range(bench.sizes.ignored):
            (inbox / f"notes-{number}.txt").write_text("not for batchd\n")
        with bench.house(folder, **AS_IT_COMES) as house:
            time.sleep(min(bench.sizes.idle_seconds, 5))  # until its start is over
            cpu, wakeups, started = house.cpu(), wakeups_of(house.daemon.pid), time.monotonic()
            time.sleep(bench.sizes.idle_seconds)
            seconds = time.monotonic() - started
            wakeups = wakeups_of(house.daemon.pid) - wakeups
            return 100 * (house.cpu() - cpu) / seconds, wakeups / seconds
