"""How long `status`, `jobs` and `why` take with 1,000 finished jobs and 200 open ones.

    python -m benchmarks.asking

The ledger is one that a real house wrote, two of whose jobs were copied so many times.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from batchd.core.names import next_job_id
from tests.control.asking import open_batches
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, requests

FINISHED, OPEN = 1_000, 200
TIMES = 5
BAR = 0.5  #: seconds
COMMANDS = (["status"], ["status", "--json"], ["jobs"], ["jobs", "--limit", "1000"], ["why"])


async def _begin(root: Path) -> tuple[str, str]:
    """One job that is finished and one that is open, as a house leaves them."""
    async with open_services(root, clock=FakeClock(time.time() - 3_600)) as services:
        drop(root, "done.jsonl", requests(5))
        await live(services, deliveries=1)
        await open_batches(services, "open.jsonl")
        (done,) = await services.ledger.jobs_in("delivered")  # type: ignore[arg-type]
        (going,) = await services.ledger.jobs_in("active")  # type: ignore[arg-type]
        return done.id, going.id


def _copy(ledger: sqlite3.Connection, job: str, times: int, newest: str) -> str:
    for _ in range(times):
        newest = next_job_id(0, newest)
        for table, columns in (("jobs", {"id"}), ("shards", {"id", "job", "batch"}),
                               ("history", {"id", "job", "shard"})):  # fmt: skip
            names = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
            as_new = [f"replace({n}, '{job}', '{newest}')" if n in columns else n for n in names]
            if table == "shards":
                as_new[names.index("batch")] = f"batch || '{newest}'"
            if table == "history":
                as_new[names.index("id")] = "NULL"
            where = "id" if table == "jobs" else "job"
            ledger.execute(
                f"INSERT INTO {table} SELECT {', '.join(as_new)} FROM {table} WHERE {where} = ?",
                (job,),
            )
    return newest


def _took(command: list[str], root: Path) -> tuple[float, float]:
    """Seconds on the wall, and of CPU: on a busy machine only the second is ours."""
    dropped = ("BATCHD_", "PYTHONDONTWRITE")  # with its byte code kept, as installed
    given = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "batchd", *command, "--set", f"folders.root={root}"],
        env=given,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        done, going = asyncio.run(_begin(root))
        with closing(sqlite3.connect(root / "var" / "batchd.db")) as ledger:
            newest = _copy(ledger, done, FINISHED - 1, going)
            newest = _copy(ledger, going, OPEN - 1, newest)
            ledger.commit()
        slowest = 0.0
        for command in COMMANDS:
            whole = [*command, newest] if command == ["why"] else command
            walls, cpus = zip(*(_took(whole, root) for _ in range(TIMES)), strict=True)
            slowest = max(slowest, statistics.median(walls))
            print(f"{' '.join(whole):<24} {statistics.median(walls):.3f} s, of it CPU"
                  f" {statistics.median(cpus):.3f} s (medians of {TIMES})")  # fmt: skip
    return int(slowest > BAR)


if __name__ == "__main__":
    sys.exit(main())
