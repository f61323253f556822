"""On what it was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
import ssl
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
