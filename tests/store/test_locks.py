"""The kernel's table of locks, and a real holder."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from batchd.store.locks import holder, holders

TABLE = """\
1: POSIX  ADVISORY  WRITE 812 08:01:77 128 128
1: -> POSIX  ADVISORY  WRITE 813 08:01:77 128 128
2: POSIX  ADVISORY  READ  814 08:01:77 128 128
3: FLOCK  ADVISORY  WRITE 815 08:01:78 0 EOF
4: OFDLCK ADVISORY  WRITE -1 fe:00:77 0 EOF
5: LEASE  ACTIVE    WRITE 816 nonsense 0 EOF
"""


def test_who_writes_is_told_from_who_reads_waits_or_is_elsewhere():
    assert holders(TABLE, {(8, 1, 77)}) == [812]
    assert holders(TABLE, {(8, 1, 78), (0xFE, 0, 77)}) == [815, -1]
    assert holders("", {(8, 1, 77)}) == []


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel tells on Linux only")
def test_another_process_is_named(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with locker(path) as pid:
            assert f"(process {pid})" in holder(path)
    assert holder(path) == "another process"


class locker:
    """A process that holds the writer's lock for the time of the block."""

    def __init__(self, path: Path) -> None:
        script = (
            "import sqlite3, sys\n"
            f"c = sqlite3.connect({os.fspath(path)!r}, isolation_level=None)\n"
            "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()\n"
            "c.execute('ROLLBACK'); c.close()\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> int:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"locked\n"
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
