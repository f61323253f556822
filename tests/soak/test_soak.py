"""A minute of the soak, in the suite; `make soak` runs ten minutes of it."""

from __future__ import annotations

import os
import random

import pytest

from tests.soak.soaking import Size, run_and_tell

pytestmark = pytest.mark.processes


def test_killed_again_and_again_every_file_becomes_one_folder_and_nothing_is_paid_twice():
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    # The seed is shown when it fails; BATCHD_TEST_SEED repeats its files and its moments.
    run_and_tell(Size(files=30, seconds=40, kills=15, seed=seed), print)
