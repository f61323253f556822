"""Tiny rounds of the rows: every row is there, and the ones that cost seconds are run."""

from importlib import import_module

import msgspec
import pytest

from benchmarks.__main__ import keep, measured
from benchmarks.bench import HERE, Bench, Sizes
from benchmarks.rows import NAMES
from benchmarks.table import Results

pytestmark = pytest.mark.processes

TINY = Sizes(requests=20, text_bytes=50, opens=(3,), small_files=3, sweeps=1, idle_seconds=0.2)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(folder=tmp_path, rounds=1, sizes=TINY)


def test_every_module_is_a_row_of_the_page():
    modules = {path.stem for path in (HERE / "rows").glob("*.py")} - {"__init__"}
    assert modules == set(NAMES)
    for name in NAMES:
        module = import_module(f"benchmarks.rows.{name}")
        assert module.TITLE
        assert callable(module.measure)


def test_a_round_of_the_first_row_is_kept_and_drawn(bench, tmp_path):
    row = measured("native", bench)
    keep(tmp_path, "native", row)

    cpu, work, *_ = row.measures
    assert 0 < cpu.measured < 60
    assert cpu.ratio == pytest.approx(cpu.values[0] / cpu.against[0])
    assert work.against[0] < cpu.against[0], "without its start, the floor takes less"
    kept = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
    assert kept["native"].measures == row.measures
    assert "CPU, drop to delivered, 20 requests" in (tmp_path / "RESULTS.md").read_text()
    assert (tmp_path / "bars.svg").exists()


def test_a_row_that_is_not_measured_anew_keeps_its_figures(bench, tmp_path):
    keep(tmp_path, "idle", measured("idle", bench))
    before = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
    keep(tmp_path, "cold", before["idle"])
    after = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
    assert after["idle"] == before["idle"]
    assert set(after) == {"idle", "cold"}


def test_sweeps_over_open_batches_are_counted(bench):
    row = measured("opened", bench)
    calls, cpu, _memory = row.measures
    assert calls.values == (1,)  # three batches, one page
    assert 0 <= cpu.measured < 5
