"""`batchd recover` as an operator types it, against the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchd.cli import batchd
from tests.acceptance.outcomes import check_results, executed_more_than_once, finished, shards_of
from tests.acceptance.processes import Processes, Sandbox, processes_in
from tests.houses import drop, requests

pytestmark = pytest.mark.processes
QUICK = ("openai.timeout_seconds=2", "batches.doubt_seconds=1")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


def recover(root: Path, sandbox: Sandbox, *more: str) -> subprocess.CompletedProcess[str]:
    given = [f"--set={setting}" for setting in (*QUICK, f"folders.root={root}")]
    provider = {"OPENAI_BASE_URL": sandbox.base_url, "OPENAI_API_KEY": "sk-x", "NO_PROXY": "*"}
    (root.parent / "empty.toml").touch()
    config = ["--config", str(root.parent / "empty.toml")]
    command = [sys.executable, "-m", "batchd", "recover", *config, *given, *more]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **provider},
    )


@pytest.mark.parametrize("harm", ["gone", "garbage"])
def test_a_killed_daemons_lost_ledger_is_recovered(processes: Processes, tmp_path: Path, harm: str):
    """F75, F76: kill -9 in the middle, the database lost, and every request executed once."""
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=3)
    daemon = processes.daemon(root, sandbox, batches__max_requests=10)
    wanted = requests(25)
    drop(root, "a.jsonl", wanted)
    processes.wait(lambda: len(shards_of(sandbox)) >= 2, what="batches")
    daemon.kill()
    for path in (root / "var").glob("batchd.db*"):
        path.unlink()
    if harm == "garbage":
        (root / "var" / "batchd.db").write_bytes(os.urandom(9000))

    refused = processes.daemon(root, sandbox, may_end=True)
    assert refused.exit_code(within=30) == 78
    assert f"batchd recover --set folders.root={root}" in refused.output()

    shown = recover(root, sandbox, "--dry-run", "--set=batches.max_requests=10")
    assert "nothing was changed" in shown.stdout, shown.stderr
    done = recover(root, sandbox, "--set=batches.max_requests=10")
    assert done.returncode == 0, done.stderr
    assert "a.jsonl  rebuilt:" in done.stdout
    assert "waiting 3 s" in done.stderr

    processes.daemon(root, sandbox, batches__max_requests=10)
    check_results(finished(processes, root, "a")["a"], wanted)
    assert len(shards_of(sandbox)) == len(set(shards_of(sandbox))) == 3
    assert executed_more_than_once(sandbox) == set()


def test_it_leaves_a_running_daemons_ledger_alone(processes: Processes, tmp_path: Path):
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    before = (root / "var" / "batchd.db").stat().st_ino
    refused = recover(root, sandbox)
    assert refused.returncode == 75
    assert f"(process {daemon.pid})" in refused.stderr
    assert (root / "var" / "batchd.db").stat().st_ino == before


def test_a_provider_that_is_not_there_changes_nothing(processes: Processes, tmp_path: Path):
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=9)
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(3))
    processes.wait(lambda: shards_of(sandbox), what="a batch")
    daemon.kill()
    (root / "var" / "batchd.db").write_bytes(b"garbage" * 99)
    sandbox.kill()
    refused = recover(root, sandbox)
    assert refused.returncode == 75, refused.stderr
    assert (root / "var" / "batchd.db").read_bytes() == b"garbage" * 99


def test_its_help_says_what_it_will_not_do():
    shown = CliRunner().invoke(batchd, ["recover", "--help"]).output
    assert "Nothing is deleted" in shown
    assert "must be stopped" in shown.replace("\n", " ")
