"""Thousands of open batches: what a sweep over them asks and costs, and what each holds in memory."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import inputs
from benchmarks.bench import LONGEST, NO_LIMITS, Bench, House
from benchmarks.measuring import cpu_of, own_memory_of
from benchmarks.table import Measure, Row
from tests.acceptance.processes import Daemon

TITLE = "Thousands of open batches"
_FOR_EVER = 10_000_000.0  #: seconds
_PER_FILE = 100
_SWEEP_SECONDS = 2.0
_LIST = "GET /v1/batches"


class Sweeps(NamedTuple):
    """What some sweeps took, each."""

    open: int
    calls: float
    cpu: float  #: seconds
    megabytes: float  #: of the whole daemon, its own, after the last of them


def measure(bench: Bench) -> Row:
    none = _idle(bench)
    each = [_sweeps(bench, count) for count in bench.sizes.opens]
    return Row(title=TITLE, measures=tuple(m for s in each for m in _measures(s, none)))


def _measures(sweeps: Sweeps, idle_megabytes: float) -> list[Measure]:
    count = sweeps.open
    return [
        Measure(
            what=f"list calls per sweep of {count:,}",
            unit="",
            values=(sweeps.calls,),
            bar=count / 100 + 1,
        ),
        Measure(
            what=f"CPU per sweep of {count:,}",
            unit="s",
            values=(sweeps.cpu,),
            bar=0.2 if count <= 1000 else None,  # the bar speaks of a thousand
            note="all that the daemon does meanwhile is counted with it.",
        ),
        Measure(
            what=f"memory per open batch, {count:,} open",
            unit="kB",
            values=((sweeps.megabytes - idle_megabytes) / count * 1e3,),
            bar=2,
            note="anonymous memory after some sweeps, of a daemon started on them, less one of two.",
        ),
    ]


def _idle(bench: Bench) -> float:
    """Megabytes of a daemon with two open batches: all that a sweep loads has been loaded.

    Not with one, which is looked at by itself, and nothing of a list is loaded.
    """
    return _sweeps(bench, 2).megabytes


def _sweeps(bench: Bench, count: int) -> Sweeps:
    """Open so many batches, start anew on them, and count over some sweeps."""
    with bench.scratch() as folder:
        sources = _files(folder, count)
        slow: dict[str, Any] = {
            "batches__poll_min_seconds": 3600,
            "batches__poll_max_seconds": 3600,
        }
        limits = NO_LIMITS | {"batches__max_requests": 1}
        with bench.house(folder, batch_seconds=_FOR_EVER, **limits, **slow) as house:
            house.drop(*sources)
            _wait_until_open(house, count)
            house.daemon.stop()
            quick: dict[str, Any] = dict.fromkeys(slow, _SWEEP_SECONDS)
            daemon = house.processes.daemon(house.root, house.sandbox, **limits, **quick)
            return _count(bench, house, daemon, count)


def _files(folder: Path, count: int) -> list[Path]:
    """So many requests in files of a hundred: each request becomes a batch."""
    parts = range(0, count, _PER_FILE)
    return [
        inputs.write(folder / f"many{n}.jsonl", min(_PER_FILE, count - n), prefix=f"m{n}")
        for n in parts
    ]


def _wait_until_open(house: House, count: int) -> None:
    def are_open() -> bool:
        time.sleep(0.5)
        return _ask(house.root, "SELECT count(*) FROM shards WHERE state = 'open'") == count

    house.processes.wait(are_open, what=f"{count} open batches", within=LONGEST)


def _count(bench: Bench, house: House, daemon: Daemon, count: int) -> Sweeps:
    swept = _Swept(house)
    swept.wait()
    swept.wait()  # the first ones read what is read once
    calls, cpu = house.sandbox.calls(_LIST), cpu_of(daemon.pid)
    for _ in range(bench.sizes.sweeps):
        swept.wait()
    sweeps = bench.sizes.sweeps
    return Sweeps(
        open=count,
        calls=(house.sandbox.calls(_LIST) - calls) / sweeps,
        cpu=(cpu_of(daemon.pid) - cpu) / sweeps,
        megabytes=own_memory_of(daemon.pid),
    )


class _Swept:
    """Sees sweeps end: each is one transaction that moves everybody's next look."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._seen = self._look()

    def wait(self) -> None:
        def moved() -> bool:
            return self._look() != self._seen

        self._house.processes.wait(moved, what="a sweep", within=LONGEST)
        self._seen = self._look()

    def _look(self) -> float:
        return _ask(self._house.root, "SELECT max(due_at) FROM shards WHERE state = 'open'")


def _ask(root: Path, question: str) -> float:
    ledger = f"{(root / 'var' / 'batchd.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(ledger, uri=True)) as connection:
        (answer,) = connection.execute(question).fetchone()
    return float(answer)
