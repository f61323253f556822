"""A loop that is held is late, and the percentile says so."""

import os
import subprocess
import sys
import time
from array import array

from benchmarks.bench import HERE
from benchmarks.lag import PAUSE, lateness, percentile


def test_the_percentile_is_what_all_but_a_few_stay_below():
    values = [0.001] * 9_990 + [0.5] * 10
    assert percentile(values) == 0.001
    assert percentile([*values, 0.5]) == 0.5
    assert percentile([3.0, 1.0], share=0.5) == 1.0


def test_only_the_time_in_question_counts_and_half_a_sample_is_none(tmp_path):
    path = tmp_path / "lag"
    path.write_bytes(array("d", [1, 0.1, 2, 0.2, 3, 0.3]).tobytes() + b"half")
    assert lateness(path, 1.5, 3) == [0.2, 0.3]


def test_an_idle_loop_writes_down_what_it_sees(tmp_path):
    path, environment = tmp_path / "lag", os.environ | {"PYTHONPATH": str(HERE.parent)}
    environment["LAG_FILE"] = str(path)
    popen = subprocess.Popen([sys.executable, "-m", "benchmarks.lag"], env=environment)
    try:
        end = time.monotonic() + 30
        while (not path.exists() or not path.stat().st_size) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        popen.kill()
        popen.wait()
    late = lateness(path, 0, time.monotonic())
    assert len(late) >= 250
    assert sorted(late)[len(late) // 2] < 20 * PAUSE
