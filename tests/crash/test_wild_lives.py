"""Whatever is said, goes wrong or is killed, in whatever order: the account is right in the end."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from structlog.testing import capture_logs

from tests.crash.wild import Wild
from tests.crash.wild_account import Account

_LIVES = 4  #: some ten seconds; hundreds have been lived while this was written


async def test_in_a_wild_life_nothing_is_lost_or_bought_twice_and_a_persons_word_counts():
    """The seed is shown when it fails; BATCHD_TEST_SEED repeats its life as the first."""
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    memory, said = Path("/dev/shm"), Counter[str]()
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        for number in range(seed, seed + _LIVES):
            world = Wild(Path(folder) / str(number), number)
            with capture_logs() as told:
                await world.live()
            wrong = [*Account(world).differences(), *filter(_is_unforeseen, told)]
            assert wrong == [], f"BATCHD_TEST_SEED={number}"
            said += world.said
    assert said["killed"]
    assert said["drop"] > _LIVES


def _is_unforeseen(told: dict) -> bool:
    """An exception that nobody had a name for."""
    return bool(told.get("exc_info")) or told["log_level"] in ("error", "critical")
