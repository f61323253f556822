"""A hundred files of a hundred requests: calls per batch, and the time until all are there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import inputs
from benchmarks.bench import NO_LIMITS, Bench
from benchmarks.table import Measure, Row

TITLE = "A hundred files of a hundred requests"
FILES, REQUESTS = 100, 100
_LIST = "GET /v1/batches"


class Run(NamedTuple):
    seconds: float
    calls: float  #: per batch, the list's left out
    lists: float  #: per batch


def measure(bench: Bench) -> Row:
    rounds = [_round(bench) for _ in range(bench.rounds)]
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what="API calls per batch, the list's left out",
                unit="",
                values=tuple(run.calls for run in rounds),
                bar=3,
                note="an upload, a creation, a download; one look at the list is shared by up to a"
                " hundred batches.",
            ),
            Measure(
                what="looks at the list per batch",
                unit="",
                values=tuple(run.lists for run in rounds),
                note="batches take a second here and are looked at several times a second.",
            ),
            Measure(what="wall time", unit="s", values=tuple(run.seconds for run in rounds)),
        ),
    )


def files(folder: Path) -> list[Path]:
    """Write them."""
    folder.mkdir()
    return [inputs.write(folder / f"f{n}.jsonl", REQUESTS, prefix=f"f{n}") for n in range(FILES)]


def _round(bench: Bench) -> Run:
    with bench.scratch() as folder, bench.house(folder, **NO_LIMITS) as house:
        sources, started = files(folder / "files"), time.monotonic()
        house.drop(*sources)
        done = house.wait_for_folders(FILES)
        seconds = time.monotonic() - started
        for path in done:
            prefix = path.name.partition("--")[0]
            assert inputs.is_in_order(path / "results.jsonl", REQUESTS, prefix=prefix)
        lists = house.sandbox.calls(_LIST)
        return Run(seconds, (house.calls() - lists) / FILES, lists / FILES)
