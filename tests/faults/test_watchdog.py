"""A real daemon under a service manager: told when it is ready, how it is, and killed if it hangs.

The manager is a stand-in with a real socket; what systemd itself makes of it is service.md's.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.runtime.pulse import LOOP_SECONDS, SECONDS_BETWEEN
from tests.acceptance.outcomes import check_results, executed_more_than_once, finished, shards_of
from tests.acceptance.processes import Daemon, Processes, Sandbox, processes_in
from tests.fakes.manager import ServiceManager
from tests.houses import drop, requests
from tests.store.test_locks import locker

pytestmark = pytest.mark.processes

WATCHDOG = 2.0  #: seconds


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    """One that is impatient."""
    with ServiceManager(str(tmp_path / "notify"), watchdog_seconds=WATCHDOG) as listening:
        yield listening


def started(
    processes: Processes, manager: ServiceManager, root: Path, sandbox: Sandbox, **settings: object
) -> Daemon:
    """A service that is up, as its manager knows it."""
    daemon = processes.daemon(root, sandbox, environment=manager.environment, **settings)
    processes.wait(lambda: manager.said("READY", pid=daemon.pid), what="READY=1")
    return daemon


def killed(processes: Processes, manager: ServiceManager, daemon: Daemon) -> None:
    """Wait until the manager has lost its patience, and do what it does then."""
    daemon.may_end = True
    longest = LOOP_SECONDS + 2 * SECONDS_BETWEEN + 2 * WATCHDOG
    lost = lambda: manager.has_lost_patience(daemon.pid)
    processes.wait(lost, what="a missed watchdog", within=longest)
    daemon.kill()


def test_the_manager_hears_ready_status_signs_of_life_and_stopping_in_this_order(
    processes, manager, tmp_path
):
    """R26: and all of it from the process itself."""
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=60)
    daemon = started(processes, manager, root, sandbox, daemon__grace_seconds=2)
    drop(root, "a.jsonl", requests(3))
    processes.wait_for_event(daemon, "batch.opened")
    processes.wait(
        lambda: manager.said("STATUS")[-1].startswith("1 open (oldest "),
        what="a status of this batch",
        within=5.0,
    )
    assert ", 0 waiting, next poll " in manager.said("STATUS")[-1]
    time.sleep(2 * WATCHDOG)  # idle, and alive
    assert not manager.has_lost_patience(daemon.pid)
    assert daemon.stop() == 0
    assert {heard.pid for heard in manager.heard} == {daemon.pid}
    names = [name for heard in manager.heard for name in heard.fields]
    assert names[:3] == ["STATUS", "EXTEND_TIMEOUT_USEC", "READY"]
    assert names[-3:] == ["STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"]
    assert manager.said("EXTEND_TIMEOUT_USEC")[-1] == "5000000"
    assert set(names[3:-3]) == {"WATCHDOG", "STATUS"}


def test_a_process_that_stands_still_is_killed_and_its_job_completes_once(
    processes, manager, tmp_path
):
    """F85: SIGSTOP, with a batch open: nobody who stands still says that he is well."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = started(processes, manager, root, sandbox)
    drop(root, "a.jsonl", requests(5))
    processes.wait_for_event(daemon, "batch.opened")
    daemon.send(signal.SIGSTOP)
    killed(processes, manager, daemon)
    started(processes, manager, root, sandbox)
    check_results(finished(processes, root, "a")["a"], requests(5))
    assert len(shards_of(sandbox)) == 1
    assert executed_more_than_once(sandbox) == set()


def test_one_loop_that_hangs_is_enough_to_be_killed_and_the_job_completes_once(
    processes, manager, tmp_path
):
    """F85: the claim can't be recorded, for somebody else holds the ledger; all others turn."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = started(processes, manager, root, sandbox)
    with locker(root / "var" / "batchd.db"):
        drop(root, "a.jsonl", requests(5))
        processes.wait_for_event(daemon, "watchdog.withheld", within=LOOP_SECONDS * 2)
        processes.wait(
            lambda: any("claim has not moved for " in said for said in manager.said("STATUS")),
            what="the manager to be told which loop hangs",
        )
        assert daemon.code is None
        killed(processes, manager, daemon)
    started(processes, manager, root, sandbox)
    check_results(finished(processes, root, "a")["a"], requests(5))
    assert len(shards_of(sandbox)) == 1
    assert executed_more_than_once(sandbox) == set()


def test_a_long_upload_is_no_hang(processes, manager, tmp_path):
    """R26: a provider that takes its time keeps one shard waiting, and no loop."""
    root = tmp_path / "root"
    sandbox = processes.sandbox(http=[{"route": "POST /v1/files", "delay_seconds": 60}])
    daemon = started(processes, manager, root, sandbox)
    drop(root, "a.jsonl", requests(5))
    processes.wait(lambda: sandbox.calls("POST /v1/files"), what="an upload under way")
    until = time.monotonic() + LOOP_SECONDS + 2 * WATCHDOG
    while time.monotonic() < until:
        assert not manager.has_lost_patience(daemon.pid), manager.said("STATUS")[-1]
        time.sleep(0.1)
    assert sandbox.calls("POST /v1/files") == 1
    daemon.kill()
