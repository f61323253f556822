"""Runs a test's body in a child that may mount what only it sees: small, read-only, other disks."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

HERE = Path(__file__).parents[2]
LONGEST = 120.0  # seconds
Body = Callable[..., Awaitable[None]]


@functools.cache
def _has_own_mounts() -> bool:
    command = shutil.which("unshare")
    return bool(command) and not subprocess.run([command, "-rm", "true"], check=False).returncode


def with_own_mounts(body: Body) -> Callable[..., None]:
    """The test is this body, run in a mount namespace of its own, where it is root."""

    @functools.wraps(body)
    def test(tmp_path: Path, **arguments: Any) -> None:
        if not _has_own_mounts():
            pytest.skip("nothing may be mounted here: neither root nor user namespaces")
        ended = subprocess.run(
            [
                *("unshare", "-rm", sys.executable, "-m", __name__),
                *(body.__module__, body.__name__, str(tmp_path), json.dumps(arguments)),
            ],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return test


def mount(*arguments: str | Path) -> None:
    """`mount ...`"""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def small_disk(folder: Path, *, kilobytes: int) -> None:
    """A disk of this size, mounted on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "disk", folder)


def read_only(folder: Path) -> None:
    """A folder whose disk has become read-only; `writable` makes it well again."""
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)


def writable(folder: Path) -> None:
    """The opposite."""
    mount("-o", "remount,bind,rw", folder)


def fill(disk: Path) -> Path:
    """Use up every byte of a disk; removing the returned file makes room."""
    filler = disk / ".filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler


def _main(module: str, name: str, folder: str, arguments: str) -> None:
    body = getattr(importlib.import_module(module), name).__wrapped__
    anyio.run(functools.partial(body, Path(folder), **json.loads(arguments)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
