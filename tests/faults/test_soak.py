"""A minute of the soak, in the suite; `make soak` runs ten minutes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.soak.accounting import Account
from tests.soak.soaking import Size, soaked

pytestmark = pytest.mark.processes


def test_killed_again_and_again_every_file_becomes_one_folder_and_nothing_is_paid_twice(tmp_path):
    """F30: and the account that says so would notice otherwise."""
    seed = int(os.environ.get("BATCHD_TEST_SEED") or random.randrange(1_000_000))
    # The seed is shown when it fails; BATCHD_TEST_SEED repeats its files and its moments.
    with soaked(Size(files=30, seconds=40, kills=15, seed=seed), print) as soaking:
        for line in soaking.figures().lines():
            print(line)  # noqa: T201  # shown when it fails
        assert spoilt(soaking.account, nothing, tmp_path / "copy").differences() == []
        for name, spoil in SPOILINGS.items():
            told = spoilt(soaking.account, spoil, tmp_path / name).differences()
            assert told, f"nobody noticed {name}"


Spoiling = Callable[[Path, dict[str, Any]], None]


def spoilt(account: Account, spoil: Spoiling, folder: Path) -> Account:
    """The same account with one thing wrong."""
    ledger = deepcopy(account.ledger)
    shutil.copytree(account.root, folder)
    spoil(folder, ledger)
    return Account(folder, account.desk, ledger, account.cancelled)


def nothing(_: Path, __: dict[str, Any]) -> None:
    """Leave the copy as it is."""


def a_lost_folder(root: Path, _: dict[str, Any]) -> None:
    shutil.rmtree(some_folder(root))


def a_folder_twice(root: Path, _: dict[str, Any]) -> None:
    shutil.copytree(folder := some_folder(root), folder.with_name("again--000000"))


def an_answer_twice(root: Path, _: dict[str, Any]) -> None:
    results = some_folder(root) / "results.jsonl"
    results.write_bytes(results.read_bytes() + results.read_bytes().splitlines(True)[-1])


def an_answer_of_somebody_else(root: Path, _: dict[str, Any]) -> None:
    results = some_folder(root) / "results.jsonl"
    lines = [json.loads(line) for line in results.read_bytes().splitlines()]
    results.write_text("".join(json.dumps(line | {"output": "?"}) + "\n" for line in lines))


def a_row_that_is_gone(root: Path, _: dict[str, Any]) -> None:
    tables = root.glob("outbox/s*/results.csv")
    table = next(path for path in tables if path.read_bytes()[:2] != b"\xff\xfe")  # no UTF-16
    table.write_bytes(b"".join(table.read_bytes().splitlines(keepends=True)[:-1]))


def an_orphan_in_work(root: Path, _: dict[str, Any]) -> None:
    (root / "var" / "work" / "000000").mkdir()


def a_batch_that_nobody_knows(_: Path, ledger: dict[str, Any]) -> None:
    stranger = {"batchd_job": "000000", "batchd_shard": "000000-1"}
    ledger["batches"].append(ledger["batches"][0] | {"id": "batch_x", "metadata": stranger})


def a_shard_created_twice(_: Path, ledger: dict[str, Any]) -> None:
    ledger["batches"].append(ledger["batches"][0])


def a_request_executed_twice(_: Path, ledger: dict[str, Any]) -> None:
    counts = next(counts for counts in ledger["executions_by_batch"].values() if counts)
    counts[next(iter(counts))] += 1


SPOILINGS: dict[str, Spoiling] = {
    spoil.__name__: spoil
    for spoil in (
        a_lost_folder,
        a_folder_twice,
        an_answer_twice,
        an_answer_of_somebody_else,
        a_row_that_is_gone,
        an_orphan_in_work,
        a_batch_that_nobody_knows,
        a_shard_created_twice,
        a_request_executed_twice,
    )
}


def some_folder(root: Path) -> Path:
    """One with answers in it, that nobody joined."""
    return min(path.parent for path in root.glob("outbox/s*/results.jsonl"))
