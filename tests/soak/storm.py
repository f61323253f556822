"""`python -m tests.soak.storm --files 100000`: so many files at once; memory, and the loop's lateness.

All are moved in by one rename. Nothing can be submitted, so that what is measured is the intake.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.acceptance.processes import Daemon, processes_in
from tests.faults.inboxes import lines

NOTHING_IS_TAKEN = {"http": [{"route": "POST *", "status": 503}]}
LONGEST = 1800.0  #: seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.storm")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--max-claimed", type=int, default=1_000_000)
    parser.add_argument("--folder", help="on which file system")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="batchd-storm-", dir=given.folder))
    try:
        run(folder, files=given.files, max_claimed=given.max_claimed)
    finally:
        shutil.rmtree(folder)
    return 0


def run(folder: Path, *, files: int, max_claimed: int) -> None:
    root = folder / "root"
    with processes_in(folder) as processes:
        sandbox = processes.sandbox(**NOTHING_IS_TAKEN)
        daemon = processes.daemon(
            root, sandbox, inbox__max_claimed=max_claimed, logging__level="debug"
        )
        quiet = daemon.peak_megabytes()
        storm(root, folder / "storm", files)
        start, wanted = time.monotonic(), min(files, max_claimed)
        processes.wait(lambda: claimed(root) >= wanted, what=f"{wanted:,} claims", within=LONGEST)
        seconds = time.monotonic() - start
        time.sleep(70)  # the minute's worst is told once a minute
        tell(daemon, quiet=quiet, seconds=seconds, files=wanted)
        code_and_time(daemon)


def storm(root: Path, aside: Path, files: int) -> None:
    """All at once: the inbox is another folder now, full of them."""
    aside.mkdir()
    content = lines(1)
    for number in range(files):
        path = aside / f"f{number}.jsonl"
        path.write_bytes(content)
        os.utime(path, (number, number))
    (root / "inbox").rename(root / "empty")
    aside.rename(root / "inbox")


def claimed(root: Path) -> int:
    time.sleep(1)  # a look is a walk through a large folder
    return sum(1 for _ in os.scandir(root / "var" / "work"))


def tell(daemon: Daemon, *, quiet: float, seconds: float, files: int) -> None:
    late = [event["seconds"] for event in daemon.events("loop.late")]
    worst = [event["worst_seconds"] for event in daemon.events("loop.lateness")]
    say(f"{files:,} files claimed in {seconds:.0f} s")
    say(f"peak memory {daemon.peak_megabytes():.0f} MB, {quiet:.0f} MB before")
    say(f"blocked for more than 0.2 s: {len(late)} times, {max(late, default=0)} s at the most")
    say(f"the loop's worst of each minute: {worst}")


def code_and_time(daemon: Daemon) -> None:
    start = time.monotonic()
    code = daemon.stop()
    say(f"stopped with {code} within {time.monotonic() - start:.1f} s")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
