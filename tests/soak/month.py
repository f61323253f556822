"""`python -m tests.soak.month --jobs 10000`: a month's jobs through one daemon, and what it grows by.

Small files, as fast as they come back: what a month of days would add to memory, descriptors and
the ledger's log is added in minutes. Growth is counted from a tenth of the way on, when all that
is loaded late has been loaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import Daemon, Processes, processes_in
from tests.houses import drop, requests

AT_ONCE = 100  #: files on their way
STUCK = 120.0  #: seconds without one more delivery
MOST_GROWTH_MB, MOST_WAL_MB = 20.0, 64.0
SETTINGS = {
    "jobs__keep_days": 0,  # tidied at once, as a day later
    "batches__max_per_hour": 1_000_000,
    "batches__poll_max_seconds": 0.5,
}


@dataclass(frozen=True)
class Sample:
    """What the daemon's process had at one moment."""

    jobs: int  #: delivered
    memory_mb: float  #: VmRSS
    descriptors: int
    threads: int
    wal_mb: float
    ledger_mb: float

    @classmethod
    def of(cls, daemon: Daemon, jobs: int) -> Sample:
        process, ledger = Path(f"/proc/{daemon.pid}"), daemon.root / "var" / "batchd.db"
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return cls(
            jobs=jobs,
            memory_mb=int(status["VmRSS"].split()[0]) * 1024 / 1e6,
            descriptors=sum(1 for _ in (process / "fd").iterdir()),
            threads=int(status["Threads"]),
            wal_mb=_megabytes(ledger.with_name(ledger.name + "-wal")),
            ledger_mb=_megabytes(ledger),
        )

    def __str__(self) -> str:
        return (
            f"{self.jobs:>7,} jobs  {self.memory_mb:6.1f} MB  {self.descriptors:>3} descriptors"
            f"  {self.threads:>3} threads  -wal {self.wal_mb:5.1f} MB  ledger {self.ledger_mb:5.1f} MB"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.month")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--folder", help="on which file system")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="batchd-month-", dir=given.folder))
    try:
        return judged(run(folder, given.jobs))
    finally:
        shutil.rmtree(folder)


def run(folder: Path, jobs: int) -> list[Sample]:
    """Let so many jobs through; return the samples: the highest within each tenth."""
    root, tenths = folder / "root", list[Sample]()
    with processes_in(folder) as processes:
        sandbox = processes.sandbox(batch_seconds=0.2, creates_per_hour=10_000_000)
        daemon = processes.daemon(root, sandbox, **SETTINGS)
        start, within = time.monotonic(), list[Sample]()
        for done in deliveries(processes, root, jobs):
            within.append(Sample.of(daemon, done))
            if done >= jobs * (len(tenths) + 1) / 10:
                tenths.append(highest(within))
                say(f"{time.monotonic() - start:6.0f} s  {tenths[-1]}")
                within.clear()
        assert daemon.stop() == 0
        folders = {path.name.rpartition("--")[0] for path in (root / "outbox").iterdir()}
        assert len(folders) == jobs, f"{len(folders):,} folders of {jobs:,} files"
    return tenths


def deliveries(processes: Processes, root: Path, jobs: int) -> Iterator[int]:
    """Keep the inbox fed, and yield how many folders there are, a few times a second."""
    dropped = done = 0
    last = time.monotonic()
    while done < jobs:
        for _ in range(min(AT_ONCE - (dropped - done), jobs - dropped)):
            dropped += 1
            drop(root, f"f{dropped}.jsonl", requests(2, prefix=f"f{dropped}"))
        time.sleep(0.3)
        before, done = done, sum(not e.name.startswith(".") for e in os.scandir(root / "outbox"))
        last = time.monotonic() if done > before else last
        assert time.monotonic() - last < STUCK, f"stuck at {done}\n{processes._tails()}"
        yield done


def highest(samples: list[Sample]) -> Sample:
    """What counts is the most that each has been."""
    return Sample(
        jobs=samples[-1].jobs,
        memory_mb=max(sample.memory_mb for sample in samples),
        descriptors=max(sample.descriptors for sample in samples),
        threads=max(sample.threads for sample in samples),
        wal_mb=max(sample.wal_mb for sample in samples),
        ledger_mb=max(sample.ledger_mb for sample in samples),
    )


def judged(tenths: list[Sample]) -> int:
    """Say what grew; return the exit code."""
    first, last = tenths[0], tenths[-1]
    growth = last.memory_mb - first.memory_mb
    wal = max(sample.wal_mb for sample in tenths)
    say(f"memory grew by {growth:.1f} MB over {last.jobs - first.jobs:,} jobs")
    say(f"descriptors {first.descriptors} -> {last.descriptors}, -wal at most {wal:.1f} MB")
    is_good = (
        growth < MOST_GROWTH_MB
        and wal < MOST_WAL_MB
        and last.descriptors <= max(sample.descriptors for sample in tenths[:3])
    )
    say("as it should be" if is_good else "NOT as it should be")
    return 0 if is_good else 1


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
