"""The same texts as a CSV through a task: what a table costs, against the floor on request lines."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.measuring import Memory, Used
from benchmarks.rows.native import BATCH_SECONDS, Daemon, program
from benchmarks.table import Measure, Row

TITLE = "The same as a CSV through a task"
TASK = "ask"
_RECIPE = """\
model = "gpt-4o-mini"
prompt = "{{ question }}"

[input]
id = "id"

[output]
column = "answer"
"""


def measure(bench: Bench) -> Row:
    floors, ours = list[Used](), list[Daemon]()
    for _ in range(bench.rounds):
        floors.append(program(bench, "floor"))
        ours.append(daemon(bench))
    return Row(title=TITLE, measures=_measures(bench, floors, ours), series=(ours[-1].series,))


def daemon(bench: Bench) -> Daemon:
    """Drop the table into the task's folder, and watch until its answers are there and right."""
    with bench.scratch() as folder:
        recipe = folder / "tasks" / f"{TASK}.toml"
        recipe.parent.mkdir()
        recipe.write_text(_RECIPE)
        source = write(folder / "table.csv", bench.sizes.requests, bench.sizes.text_bytes)
        with bench.house(folder, batch_seconds=BATCH_SECONDS) as house:
            target = house.root / "inbox" / TASK
            house.processes.wait(target.is_dir, what="the task's folder", within=60.0)
            house.wait_for_rest()
            before, started = house.cpu(), time.monotonic()
            with Memory(house.daemon.pid).watched() as memory:
                source.rename(target / source.name)
                (done,) = house.wait_for_folders(1)
            seconds, cpu = time.monotonic() - started, house.cpu() - before
            peak = house.daemon.peak_megabytes()
        check(done, bench.sizes.requests)
        return Daemon(cpu, peak, seconds, memory.series("a table"))


def write(path: Path, count: int, text_bytes: int) -> Path:
    """Write a table of so many questions, each with the comma and the line break that tables have."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "question", "asked"))
        for number in range(count):
            words = f"question {number}: what of this is new? "
            text = f"First,\n{words * (text_bytes // len(words) + 1)}"[:text_bytes]
            table.writerow((f"r-{number}", text, "2026-11-21"))
    return path


def check(folder: Path, count: int) -> None:
    """A figure counts only where the work was done: both forms complete, in the input's order."""
    assert inputs.is_in_order(folder / "results.jsonl", count)
    with (folder / "results.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        wanted = (f"r-{number}" for number in range(count))
        for row, id_ in zip(rows, wanted, strict=True):
            assert row["id"] == id_, row
            assert row["answer"], row
            assert not row["batchd_error"], row


def _measures(bench: Bench, floors: list[Used], ours: list[Daemon]) -> tuple[Measure, ...]:
    cpu = tuple(our.cpu for our in ours)
    return (
        Measure(
            what=f"CPU, drop to delivered, {bench.sizes.requests:,} rows",
            unit="s",
            values=cpu,
            against=tuple(used.cpu for used in floors),
            against_what="the floor on request lines",
            bar=2.5,
            note="a table is read, rendered, and written again beside its answers; the floor has"
            " request lines, and writes no table.",
        ),
        Measure(
            what="the same against the floor without its start",
            unit="s",
            values=cpu,
            against=tuple(used.work for used in floors),
            against_what="the floor's work alone",
        ),
        Measure(
            what="peak memory of the daemon",
            unit="MB",
            values=tuple(our.megabytes for our in ours),
        ),
        Measure(what="wall time of the daemon", unit="s", values=tuple(o.seconds for o in ours)),
    )
