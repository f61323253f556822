"""Thousands of small files at once: what one costs, against the SDK's own two calls."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import inputs
from benchmarks.bench import NO_LIMITS, Bench
from benchmarks.table import Measure, Row

TITLE = "Thousands of small files at once"
#: A sweep is not what is measured here: batches are looked at as often as they usually are.
LOOKS: dict[str, Any] = {"batches__poll_min_seconds": 15.0, "batches__poll_max_seconds": 300.0}


class Ours(NamedTuple):
    """What the daemon took for all of them."""

    cpu: float
    seconds: float
    megabytes: float
    apart: int  #: how many places the one that was sent most out of turn was out of it


def measure(bench: Bench) -> Row:
    count = bench.sizes.small_files
    sdk, ours = list[float](), list[Ours]()
    for _ in range(bench.rounds):
        sdk.append(_sdk(bench, count))
        ours.append(_ours(bench, count))
    return Row(
        title=TITLE,
        measures=(
            Measure(
                what=f"CPU per file, drop to delivered, {count:,} files",
                unit="ms",
                values=tuple(our.cpu / count * 1e3 for our in ours),
                against=tuple(cpu / count * 1e3 for cpu in sdk),
                against_what="the SDK's upload and create, one after another",
                bar=2.5,
                note="checking, polling, fetching, rendering and the folder are counted with ours"
                " and are not in what it is divided by.",
            ),
            Measure(
                what="sent out of turn by at most so many places, all delivered",
                unit="",
                values=tuple(our.apart for our in ours),
            ),
            Measure(what="peak memory", unit="MB", values=tuple(our.megabytes for our in ours)),
            Measure(what="wall time", unit="s", values=tuple(our.seconds for our in ours)),
        ),
    )


def _files(folder: Path, count: int) -> Path:
    files = folder / "files"
    files.mkdir()
    for number in range(count):
        inputs.write(files / f"f{number:06}.jsonl", 1, prefix=f"f{number}")
    return files


def _sdk(bench: Bench, count: int) -> float:
    with bench.scratch() as folder, bench.provider(folder) as sandbox:
        return bench.program("sdk", _files(folder, count), sandbox=sandbox, cwd=folder).work


def _ours(bench: Bench, count: int) -> Ours:
    with bench.scratch() as folder:
        files = _files(folder, count)
        with bench.house(folder, **NO_LIMITS, **LOOKS) as house:
            cpu, started = house.cpu(), time.monotonic()
            house.drop(*sorted(files.iterdir()))
            done = house.wait_for_folders(count, pause=0.5)
            assert len(done) == count
            cpu, seconds = house.cpu() - cpu, time.monotonic() - started
            batches = house.sandbox.ledger(executions=False)["batches"]
            names = [batch["metadata"]["batchd_job"] for batch in batches]
            return Ours(cpu, seconds, house.daemon.peak_megabytes(), _apart(names))


def _apart(names: list[str]) -> int:
    """Job ids sort by age: how far one was sent from its turn."""
    turn = {name: place for place, name in enumerate(sorted(names))}
    return max(abs(place - turn[name]) for place, name in enumerate(names))
