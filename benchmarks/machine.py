"""On what it was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import ssl
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("batchd", "openai", "httpx2", "msgspec", "aiosqlite", "anyio")


def machine() -> dict[str, str]:
    """Name the processor, its cores, the memory, the system and the versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()} GB of memory",
        "System": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "Versions": f"{libraries}, SQLite {sqlite3.sqlite_version}, {ssl.OPENSSL_VERSION}",
    }


_WARMED = 1 << 31  #: bytes: ten times the large file, which lies there in several forms
_PART_OF_FREE = 4
_WARM = "import mmap, sys; mmap.mmap(-1, int(sys.argv[1])).write(bytes(int(sys.argv[1])))"


def warm_memory() -> None:
    """Have the machine hold memory that it is about to use.

    A virtual machine gives what is free back to its host, and has to ask for it again: to write
    200 MB took 0.09 s of a processor in memory that it had, and 0.62 s in memory that it had not.
    Whoever writes more would be charged for it, and most whoever comes first after a rest.
    """
    free = int((_fact("/proc/meminfo", "MemAvailable") or "0 kB").split()[0]) * 1024
    if size := min(_WARMED, free // _PART_OF_FREE) // 2:  # it is there twice
        # In another process: a program inherits the peak of the one that starts it.
        subprocess.run([sys.executable, "-c", _WARM, str(size)], check=True)


def load() -> float:
    """How many processes wanted a processor, over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    return _fact("/proc/cpuinfo", "model name") or platform.machine()


def _memory() -> int:
    return round(int((_fact("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) * 1024 / 1e9)


def _fact(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, "")
