"""The crash matrix F13 to F28: each point many times, in-process and with the real daemon.

The suite runs a few rounds; `make soak` runs BATCHD_MATRIX_ROUNDS=200 in-process and
BATCHD_MATRIX_KILLS=10 with real processes. BATCHD_TEST_SEED repeats the worlds and the places.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog

from tests.acceptance.processes import processes_in
from tests.faults.matrix import FAULTS, Rounds
from tests.faults.points import POINTS, killed_at

ROUNDS = int(os.environ.get("BATCHD_MATRIX_ROUNDS", "4"))
KILLS = int(os.environ.get("BATCHD_MATRIX_KILLS", "0"))  #: of the real daemon, at each point
A_FEW = (15, 21, 23, 25)  #: once each, where KILLS is not given
SEED = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))


@pytest.fixture(scope="module")
def rounds() -> Iterator[Rounds]:
    """In memory where there is one, and silent: thousands of lives, each with dozens of fsyncs."""
    memory = Path("/dev/shm")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Rounds(Path(folder))
    structlog.reset_defaults()


@pytest.mark.parametrize("number", FAULTS, ids="F{}".format)
async def test_killed_at_this_point_the_next_start_finishes_as_if_nothing_had_been(
    number: int, rounds: Rounds
):
    """F13, F14, F15, F16, F17, F18, F19, F20, F21, F22, F23, F24, F25, F26, F27, F28: in-process."""
    chance, died, lives = random.Random(f"{SEED} {number}"), 0, 0
    while died < ROUNDS:
        # Now and then a life has fewer such places than the undisturbed one, and ends by itself.
        assert lives < 2 * ROUNDS + 8, f"died only {died} times in {lives} lives"
        died += await rounds.killed_at(FAULTS[number], SEED + lives % ROUNDS, chance)
        lives += 1


@pytest.mark.processes
@pytest.mark.parametrize("number", POINTS if KILLS else A_FEW, ids="F{}".format)
def test_the_real_daemon_killed_around_this_point_finishes_at_the_next_start(
    number: int, tmp_path: Path
):
    """F13, F14, F15, F16, F17, F18, F19, F20, F21, F22, F23, F24, F25, F26, F27, F28: from outside."""
    chance = random.Random(f"{SEED} real {number}")
    for turn in range(KILLS or 1):
        folder = tmp_path / f"round-{turn}"
        folder.mkdir()
        with processes_in(folder) as processes:
            sandbox = processes.sandbox(batch_seconds=0.3, listing_lag_seconds=0.3)
            killed_at(POINTS[number], processes, sandbox, folder / "root", chance)
