"""How long a file waits for us: from the drop to its batch, from the batch's end to the folder."""

from __future__ import annotations

import time

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.rows import native
from benchmarks.table import Measure, Row

TITLE = "What batchd adds to the provider's time"
_REQUESTS = 1_000


def measure(bench: Bench) -> Row:
    rounds = [_round(bench, number) for number in range(bench.rounds)]
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what="drop to batch created, settle_seconds = 0.2",
                unit="s",
                values=tuple(created for created, _ in rounds),
                bar=0.5,
                note="the first file of a new daemon: it connects, and reads what it needs late.",
            ),
            Measure(
                what=f"batch completed, as seen, to folder, {_REQUESTS:,} requests",
                unit="s",
                values=tuple(delivered for _, delivered in rounds),
                bar=0.3,
            ),
        ),
    )


def _round(bench: Bench, number: int) -> tuple[float, float]:
    with bench.scratch() as folder, bench.house(folder) as house:
        source = inputs.write(folder / f"file-{number}.jsonl", _REQUESTS)
        time.sleep(1)  # until it has nothing to do
        dropped = time.time()
        house.drop(source)
        (done,) = house.wait_for_folders(1, pause=0.002)
        delivered = time.time()
        native.check(done, _REQUESTS)
        return house.moment("batch.opened") - dropped, delivered - house.moment("batch.ended")
