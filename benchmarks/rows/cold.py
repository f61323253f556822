"""How long a command takes that somebody types."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measuring import Used, run
from benchmarks.table import Measure, Row

TITLE = "Commands, from cold"
_TIMES = 5  #: per round; the first of all is not counted, it reads the disk


def measure(bench: Bench) -> Row:
    with bench.scratch() as folder, bench.house(folder) as house:
        root = f"folders.root={house.root}"
        status = ("status", "--config", str(folder / "empty.toml"), "--set", root)
        asked = _times(bench, folder, *status)
        house.daemon.stop()
        alone = _times(bench, folder, *status)
        said = _times(bench, folder, "--help")
        nothing = _times(bench, folder)
    return Row(
        title=TITLE,
        measures=(
            *_measures("batchd --help", said, bar=0.2),
            *_measures("batchd status, the daemon runs", asked, bar=0.3),
            *_measures("batchd status, no daemon", alone, bar=0.3),
            *_measures("Python itself, doing nothing", nothing, bar=None),
        ),
    )


def _measures(what: str, runs: list[Used], *, bar: float | None) -> list[Measure]:
    return [
        Measure(what=what, unit="s", values=tuple(used.seconds for used in runs), bar=bar),
        Measure(what=f"its CPU: {what}", unit="s", values=tuple(used.cpu for used in runs)),
    ]


def _times(bench: Bench, folder: Path, *arguments: str) -> list[Used]:
    """Run a command of ours, or the bare interpreter, some times."""
    program = ["-m", "batchd", *arguments] if arguments else ["-c", "pass"]
    # With its byte code kept, as installed, and whatever the shell says: PYTHON...=1 would have all of
    # it compiled at each start, which takes as long as the rest.
    dropped = ("BATCHD_", "PYTHONDONTWRITE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    command = [sys.executable, *program]
    rounds = (
        run(command, environment=environment, cwd=folder) for _ in range(_TIMES * bench.rounds + 1)
    )
    return list(rounds)[1:]
