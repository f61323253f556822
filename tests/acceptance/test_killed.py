"""kill -9 of the real daemon, again and again: every file is answered, no shard is bought twice."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.acceptance.outcomes import (
    Requests,
    check_receipt,
    check_results,
    executed_more_than_once,
    finished,
    shards_of,
)
from tests.acceptance.processes import Processes, Sandbox
from tests.houses import drop, requests

pytestmark = pytest.mark.processes

KILLS = 10
FILES = 20
LONGEST_LIFE = 1.2  # seconds after daemon.ready: from the first claim to the first results
#: A create takes milliseconds, and few kills would fall into one. When every third answer is lost,
#: many shards are in doubt for a second, and many a doubt is left to the next life.
LOST_ANSWERS = {"route": "POST /v1/batches", "disconnect": "after", "rate": 0.33}
#: Doubt ends this long after a create that nobody heard the end of.
IMPATIENT = {"openai__timeout_seconds": 2, "batches__doubt_seconds": 1}


def contents(name: str) -> Requests:
    """Two models, hence two batches; ids that no other file has."""
    mini = requests(20, prefix=f"{name}-mini")
    return mini + requests(10, prefix=f"{name}-large", model="gpt-4o")


def test_ten_kills_at_random_moments_lose_nothing_and_buy_nothing_twice(processes, root):
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    print(f"BATCHD_TEST_SEED={seed} repeats these moments")  # noqa: T201  # shown when it fails
    moments = random.Random(seed)
    passing = [f"f{number}-mini-3" for number in range(1, FILES + 1)]
    rules = [{"status": 429, "custom_ids": passing, "times": 1}]
    sandbox = processes.sandbox(
        batch_seconds=1, request_faults=rules, listing_lag_seconds=0.3, http=[LOST_ANSWERS]
    )
    names = [f"f{number}" for number in range(1, FILES + 1)]

    for life in range(KILLS):
        # Fresh files for every life: each kill finds something at every stage.
        for name in names[2 * life : 2 * life + 2]:
            drop(root, f"{name}.jsonl", contents(name))
        live_and_die(processes, root, sandbox, seconds=moments.uniform(0, LONGEST_LIFE))
    processes.daemon(root, sandbox, **IMPATIENT)

    folders = finished(processes, root, *names, within=120)
    assert len(list((root / "outbox").iterdir())) == FILES
    for name in names:
        check_results(folders[name], contents(name))
        check_receipt(folders[name], total=30)
    assert len(shards_of(sandbox)) == len(set(shards_of(sandbox))) >= 2 * FILES
    assert executed_more_than_once(sandbox) <= set(passing)


def live_and_die(processes: Processes, root, sandbox: Sandbox, *, seconds: float) -> None:
    daemon = processes.daemon(root, sandbox, **IMPATIENT)
    time.sleep(seconds)  # the moment itself; what it must not harm is checked in the end
    daemon.kill()
