"""Wrong orders of lines, made on purpose: `test_killed_anywhere` must fail for each of them.

A test that guards everything is worth what it catches. Each case here swaps two lines in a copy of
the package, and says what would be lost: money, an answer, the sender's file, tidiness.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Swap:
    """A piece of a module, and the same piece in the wrong order."""

    module: str
    right: str
    wrong: str
    near: str  #: the crash places to look at, so that the proof is quick


SWAPS = {
    "a batch is created before it is recorded that one may be": Swap(
        "stages/submit.py",
        """    may_begin = await services.ledger.begin(*upload.events, started, at=now)
    _tell_of(upload, shard)
    if not may_begin:
        return
    try:
        batch = await services.remote.create_batch(order)
""",
        """    try:
        try:
            batch = await services.remote.create_batch(order)
        finally:
            await services.ledger.begin(*upload.events, started, at=now)
""",
        near="create_batch",
    ),
    "a shard is recorded as collected before its answers are kept whole": Swap(
        "stages/collect.py",
        """        oddities=tally.oddities,
    )
    learned = learned_from(shard.model, shard.errors)
    await services.ledger.record(*learned, collected, at=services.clock.now())
""",
        """        oddities=tally.oddities,
    )
    index = services.work.answers(shard.job, shard.id, "index")
    whole = index.read_bytes()
    index.write_bytes(whole[:24])
    learned = learned_from(shard.model, shard.errors)
    await services.ledger.record(*learned, collected, at=services.clock.now())
    index.write_bytes(whole)
""",
        # Taking it away altogether harms nobody: it is found again from the answers themselves.
        near="ShardCollected",
    ),
    "a job is recorded as delivered before its folder appears": Swap(
        "stages/deliver.py",
        """    await finish_undisturbed(_appear, job, folder, services)
    await services.ledger.record(JobDelivered(job=job.id), at=services.clock.now())
""",
        """    await services.ledger.record(JobDelivered(job=job.id), at=services.clock.now())
    await finish_undisturbed(_appear, job, folder, services)
""",
        near="JobDelivered",
    ),
    "a folder appears before the sender's file is in it": Swap(
        "spool/outbox.py",
        """        for dropped in leaving:
            make_folder(draft / "input")
            _let_the_group_read(dropped)
            move_anywhere(dropped, draft / "input" / dropped.name)
        move(draft, self._folder / folder)
""",
        """        move(draft, self._folder / folder)
        draft = self._folder / folder
        for dropped in leaving:
            make_folder(draft / "input")
            _let_the_group_read(dropped)
            move_anywhere(dropped, draft / "input" / dropped.name)
""",
        near="os.rename",
    ),
    "a work folder is recorded as tidied before it is gone": Swap(
        "stages/tidy.py",
        """    await in_thread(services.work.remove, job.id)
    await services.ledger.record(JobTidied(job=job.id), at=services.clock.now())
""",
        """    await services.ledger.record(JobTidied(job=job.id), at=services.clock.now())
    await in_thread(services.work.remove, job.id)
""",
        near="JobTidied",
    ),
}


@pytest.mark.parametrize("mistake", SWAPS)
def test_a_wrong_order_of_lines_does_not_survive_the_crash_test(mistake: str, tmp_path: Path):
    swap = SWAPS[mistake]
    _copy(tmp_path, swap)
    outcome = _crash_test(tmp_path, near=swap.near)
    assert outcome.returncode == 1, f"nobody noticed that {mistake}:\n{outcome.stdout[-3000:]}"
    assert "killed at" in outcome.stdout, outcome.stdout[-3000:]


def _copy(to: Path, swap: Swap) -> None:
    shutil.copytree(_REPOSITORY / "batchd", to / "batchd")
    shutil.copytree(_REPOSITORY / "tests", to / "tests")
    shutil.copy(_REPOSITORY / "pyproject.toml", to)
    module = to / "batchd" / swap.module
    text = module.read_text()
    assert text.count(swap.right) == 1, f"{swap.module} has changed; so must this test"
    module.write_text(text.replace(swap.right, swap.wrong))


def _crash_test(where: Path, *, near: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "tests/crash/test_killed_anywhere.py"]
    near_by = {"BATCHD_CRASH_ONLY": near, "BATCHD_CRASH_EVERY": "1"}
    environment = os.environ | near_by | {"PYTHONPATH": str(where)}
    return subprocess.run(
        command,
        check=False,
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
