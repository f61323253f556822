"""What a process took: the kernel's own figures, seen from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import Series

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.1
_MOST_POINTS = 150  #: in a plot


class Used(NamedTuple):
    """What a program took from its start to its end."""

    cpu: float  #: seconds, user and system
    megabytes: float  #: at the peak
    seconds: float
    said: str

    @property
    def work(self) -> float:
        """Seconds of CPU without the start and the imports, where the program says so."""
        return float(json.loads(self.said.splitlines()[-1])["work_seconds"])


class Failed(Exception):
    """A program that is measured ended badly."""


def run(command: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> Used:
    """Run a program to its end. Raises `Failed` with its last words."""
    started, said = time.monotonic(), cwd / "said.txt"
    with said.open("wb") as sink:
        popen = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(popen.pid, 0)  # the one call that tells one child's own
    popen.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text(encoding="utf-8", errors="replace")
    if popen.returncode:
        last = (text.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"{Path(command[0]).name} ended with {popen.returncode}: {last}")
    return Used(
        cpu=usage.ru_utime + usage.ru_stime,
        megabytes=usage.ru_maxrss * 1024 / 1e6,
        seconds=time.monotonic() - started,
        said=text,
    )


def cpu_of(pid: int) -> float:
    """Seconds of CPU so far, user and system, with children that have ended."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()  # the name before it may have blanks
    return sum(map(int, fields[11:15])) / _TICKS


def wakeups_of(pid: int) -> int:
    """How often its threads have gone to sleep and been woken."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int(_line(status.read_text(), "voluntary_ctxt_switches:"))
    return total


def memory_of(pid: int) -> float:
    """Resident megabytes now."""
    return int(_line(Path(f"/proc/{pid}/status").read_text(), "VmRSS:")) * 1024 / 1e6


def own_memory_of(pid: int) -> float:
    """Resident megabytes now that are its own: of libraries' files more or less happens to be there."""
    return int(_line(Path(f"/proc/{pid}/status").read_text(), "RssAnon:")) * 1024 / 1e6


def _line(text: str, name: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    return line.split()[1]


class Memory:
    """Looks at a process's memory several times a second, beside whatever else happens."""

    def __init__(self, pid: int) -> None:
        self._pid, self._points = pid, list[tuple[float, float]]()
        self._stop = threading.Event()

    @contextlib.contextmanager
    def watched(self) -> Iterator[Memory]:
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def series(self, name: str) -> Series:
        """Return what was seen; of a long run the highest of each stretch."""
        step = max(len(self._points) // _MOST_POINTS, 1)
        parts = [self._points[i : i + step] for i in range(0, len(self._points), step)]
        return Series(
            name=name,
            seconds=tuple(round(part[0][0], 1) for part in parts),
            megabytes=tuple(round(max(mb for _, mb in part), 1) for part in parts),
        )

    def _look(self) -> None:
        started = time.monotonic()
        while not self._stop.wait(_SAMPLE_SECONDS):
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                self._points.append((time.monotonic() - started, memory_of(self._pid)))


def asked(calls: Mapping[str, Any]) -> int:
    """How many calls a sandbox received, its own routes left out."""
    return sum(int(count) for route, count in calls.items() if "/sandbox/" not in route)
