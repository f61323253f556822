"""One file as large as a batch may be: CPU and memory, against the floor and the naive script."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.measuring import Memory, Used
from benchmarks.table import Measure, Row, Series

TITLE = "One native file, as large as a batch may be"
BATCH_SECONDS = 2.0


class Daemon(NamedTuple):
    """What ours took, from the drop to the folder."""

    cpu: float
    megabytes: float
    seconds: float
    series: Series


def measure(bench: Bench) -> Row:
    floors, naives, ours = list[Used](), list[Used](), list[Daemon]()
    for _ in range(bench.rounds):
        floors.append(program(bench, "floor"))
        ours.append(daemon(bench))
        naives.append(program(bench, "naive"))
    return Row(
        title=TITLE,
        measures=tuple(_measures(bench, floors, naives, ours)),
        series=(ours[-1].series,),
    )


def program(bench: Bench, name: str) -> Used:
    """Run the floor or the naive script on the file, and see that it did its work."""
    with bench.scratch() as folder, bench.provider(folder, batch_seconds=BATCH_SECONDS) as sandbox:
        source, target = bench.native_file(folder), folder / "results.jsonl"
        used = bench.program(name, source, target, sandbox=sandbox, cwd=folder)
        assert inputs.is_in_order(target, bench.sizes.requests)
        return used


def daemon(bench: Bench, *, shards: int = 1, name: str = "one batch") -> Daemon:
    """Drop the file, and watch the daemon until its folder is there and right."""
    with bench.scratch() as folder:
        source = bench.native_file(folder, shards=shards)
        with bench.house(folder, batch_seconds=BATCH_SECONDS) as house:
            house.wait_for_rest()
            before, started = house.cpu(), time.monotonic()
            with Memory(house.daemon.pid).watched() as memory:
                house.drop(source)
                (done,) = house.wait_for_folders(1)
            seconds, cpu = time.monotonic() - started, house.cpu() - before
            peak = house.daemon.peak_megabytes()
        check(done, shards * bench.sizes.requests)
        return Daemon(cpu, peak, seconds, memory.series(name))


def check(folder: Path, requests: int) -> None:
    """A figure counts only where the work was done."""
    assert inputs.is_in_order(folder / "results.jsonl", requests), (
        f"{folder} is not as it should be"
    )


def _measures(
    bench: Bench, floors: list[Used], naives: list[Used], ours: list[Daemon]
) -> list[Measure]:
    requests = f"{bench.sizes.requests:,} requests"
    cpu, floor = tuple(our.cpu for our in ours), tuple(used.cpu for used in floors)
    memory = tuple(our.megabytes for our in ours)
    return [
        Measure(
            what=f"CPU, drop to delivered, {requests}",
            unit="s",
            values=cpu,
            against=floor,
            against_what="the floor",
            bar=1.5,
            note="the floor's whole process, its start and imports included; the daemon had started"
            " before the drop, and had imported what it needs. So has the floor, in the next line.",
        ),
        Measure(
            what="the same against the floor without its start",
            unit="s",
            values=cpu,
            against=tuple(used.work for used in floors),
            against_what="the floor's work alone",
        ),
        Measure(what="peak memory of the daemon", unit="MB", values=memory, bar=120),
        *_beside("floor", floors),
        *_beside("naive", naives),
        Measure(what="wall time of the daemon", unit="s", values=tuple(o.seconds for o in ours)),
    ]


def _beside(name: str, used: list[Used]) -> list[Measure]:
    return [
        Measure(what=f"CPU of {name}.py", unit="s", values=tuple(u.cpu for u in used)),
        Measure(
            what=f"peak memory of {name}.py", unit="MB", values=tuple(u.megabytes for u in used)
        ),
        Measure(what=f"wall time of {name}.py", unit="s", values=tuple(u.seconds for u in used)),
    ]
