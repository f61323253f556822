"""Five large files at once: memory does not add up."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.measuring import Memory
from benchmarks.rows import native
from benchmarks.table import Measure, Row, Series

TITLE = "Five large files together"
_FILES = 5
_GIGABYTES = 3


class Five(NamedTuple):
    megabytes: float
    cpu: float
    series: Series


def measure(bench: Bench) -> Row:
    if why := bench.has_room(_GIGABYTES):
        return Row(title=TITLE, skipped=(f"five files {why}",))
    rounds = [_round(bench) for _ in range(bench.rounds)]
    megabytes = bench.sizes.five_requests * (bench.sizes.text_bytes + 150) / 1e6
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"peak memory, {_FILES} files of {megabytes:.0f} MB",
                unit="MB",
                values=tuple(five.megabytes for five in rounds),
                bar=150,
            ),
            Measure(what="CPU", unit="s", values=tuple(five.cpu for five in rounds)),
        ),
        series=(rounds[-1].series,),
    )


def _round(bench: Bench) -> Five:
    sizes = bench.sizes
    with bench.scratch() as folder:
        sources = [
            inputs.write(
                folder / f"five{n}.jsonl",
                sizes.five_requests,
                text_bytes=sizes.text_bytes,
                prefix=f"five{n}",
            )
            for n in range(_FILES)
        ]
        with bench.house(folder, batch_seconds=native.BATCH_SECONDS) as house:
            cpu = house.cpu()
            with Memory(house.daemon.pid).watched() as memory:
                house.drop(*sources)
                done = house.wait_for_folders(_FILES)
            cpu, peak = house.cpu() - cpu, house.daemon.peak_megabytes()
        for path in done:
            prefix = path.name.partition("--")[0]
            assert inputs.is_in_order(path / "results.jsonl", sizes.five_requests, prefix=prefix)
        return Five(peak, cpu, memory.series("five files together"))
