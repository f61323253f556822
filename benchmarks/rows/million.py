"""A million requests in one file: what a request costs does not depend on how many there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.measuring import Memory
from benchmarks.rows import native
from benchmarks.table import Measure, Row, Series

TITLE = "Short requests by the hundred thousand, in one file"
_GIGABYTES = 4  #: with the answers, and the provider's side


class Run(NamedTuple):
    """One file's."""

    requests: int
    cpu: float
    megabytes: float
    ledger: float  #: megabytes it grew by
    series: Series

    @property
    def microseconds(self) -> float:
        """CPU per request."""
        return self.cpu / self.requests * 1e6


def measure(bench: Bench) -> Row:
    if why := bench.has_room(_GIGABYTES):
        return Row(title=TITLE, skipped=(f"a million requests {why}",))
    one = _run(bench, 1, "one batch, short requests")
    all_of_them = _run(bench, bench.sizes.million_shards, "many batches, short requests")
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"CPU per request, {all_of_them.requests:,} requests",
                unit="µs",
                values=(all_of_them.microseconds,),
                against=(one.microseconds,),
                against_what=f"{one.requests:,} requests",
                bar=1.1,
            ),
            Measure(
                what=f"peak memory, {all_of_them.requests:,} requests",
                unit="MB",
                values=(all_of_them.megabytes,),
                bar=250,
                note="the bars are about a million requests in twenty batches.",
            ),
            Measure(what="peak memory, one batch", unit="MB", values=(one.megabytes,)),
            Measure(what="growth of the ledger", unit="MB", values=(all_of_them.ledger,), bar=1),
        ),
        series=(all_of_them.series,),
    )


def _run(bench: Bench, shards: int, name: str) -> Run:
    requests = shards * bench.sizes.shard_requests
    with bench.scratch() as folder:
        source = inputs.write(folder / "many.jsonl", requests)
        with bench.house(folder, batch_seconds=native.BATCH_SECONDS) as house:
            cpu, ledger = house.cpu(), _ledger(house.root)
            with Memory(house.daemon.pid).watched() as memory:
                house.drop(source)
                (done,) = house.wait_for_folders(1)
            cpu, peak = house.cpu() - cpu, house.daemon.peak_megabytes()
            grown = _ledger(house.root) - ledger
        native.check(done, requests)
        return Run(requests, cpu, peak, grown, memory.series(name))


def _ledger(root: Path) -> float:
    """Megabytes of pages, those in its log counted: the files' sizes tell of neither alone."""
    ledger = f"{(root / 'var' / 'batchd.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(ledger, uri=True)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return float(pages * size / 1e6)
