"""Ten batches' worth in one file: memory is that of one batch."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.rows import native
from benchmarks.table import Measure, Row

TITLE = "One file of several batches, each as large as it may be"
_COPIES = 5  #: of the input, at the most: ours, the provider's, the answers in three shapes


def measure(bench: Bench) -> Row:
    shards, sizes = bench.sizes.large_shards, bench.sizes
    gigabytes = shards * sizes.requests * (sizes.text_bytes + 150) / 1e9
    if why := bench.has_room(_COPIES * gigabytes):
        return Row(title=TITLE, skipped=(f"the file of {shards} batches {why}",))
    one = native.daemon(bench)
    many = native.daemon(bench, shards=shards, name=f"{shards} batches")
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"peak memory, {gigabytes:.2f} GB in {shards} batches",
                unit="MB",
                values=(many.megabytes,),
                against=(one.megabytes,),
                against_what="one batch",
                bar=1.1,
                note="the bar is about 2 GB in 10 batches.",
            ),
            Measure(
                what="CPU",
                unit="s",
                values=(many.cpu,),
                against=(one.cpu * shards,),
                against_what=f"{shards} times one batch",
            ),
            Measure(what="wall time", unit="s", values=(many.seconds,)),
        ),
        series=(many.series,),
    )
