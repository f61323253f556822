"""A process is measured as the kernel counts it."""

import os
import sys
import time

import pytest

from benchmarks.measuring import (
    Failed,
    Memory,
    asked,
    cpu_of,
    memory_of,
    own_memory_of,
    run,
    wakeups_of,
)

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint('{\"work_seconds\": 0.25}')"


def test_a_program_is_told_its_cpu_its_memory_and_its_words(tmp_path):
    used = run([sys.executable, "-c", BUSY], environment=os.environ, cwd=tmp_path)
    assert 0.28 <= used.cpu <= used.seconds + 0.1
    assert used.megabytes > 3  # at least: Linux counts what the parent had when it forked, too
    assert used.work == 0.25


def test_a_program_that_fails_is_no_figure(tmp_path):
    with pytest.raises(Failed, match="ended with 3: alas"):
        run(
            [sys.executable, "-c", "print('alas'); exit(3)"],
            environment=os.environ,
            cwd=tmp_path,
        )


def test_cpu_of_a_process_grows_with_its_work():
    before, end = cpu_of(os.getpid()), time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert 0.15 <= cpu_of(os.getpid()) - before < 5


def test_memory_is_seen_from_beside():
    with Memory(os.getpid()).watched() as memory:
        end = time.monotonic() + 10
        while not memory.series("x").seconds and time.monotonic() < end:
            time.sleep(0.02)
    series = memory.series("mine")
    assert series.name == "mine"
    assert max(series.megabytes) == pytest.approx(memory_of(os.getpid()), rel=0.5)
    assert len(series.seconds) == len(series.megabytes) >= 1


def test_wakeups_are_counted():
    assert wakeups_of(os.getpid()) > 0


def test_calls_of_the_sandboxs_own_routes_are_no_calls_of_the_api():
    assert asked({"POST /v1/files": 2, "GET /sandbox/ledger": 7, "GET /v1/batches": 1}) == 3


def test_what_is_a_processs_own_is_part_of_what_is_resident():
    before = own_memory_of(os.getpid())
    held = bytearray(b"x") * 50_000_000
    assert own_memory_of(os.getpid()) - before == pytest.approx(50, rel=0.2)
    assert own_memory_of(os.getpid()) < memory_of(os.getpid())
    del held
