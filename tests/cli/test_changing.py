"""The commands that change something: what they say, and how they end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from tests.acceptance.processes import Daemon, Processes, Sandbox, processes_in
from tests.houses import drop, open_services, requests

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys, tmp_path, monkeypatch) -> Shell:
    """Run a command on the root `root`: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHD_", "OPENAI_", "CREDENTIALS_")):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = invoke(batchd, [*arguments, "--set", f"folders.root={tmp_path / 'root'}"])
        return code, *capsys.readouterr()

    return run


CHANGING = (
    ("cancel", "0tqe86"),
    ("hold", "0tqe86"),
    ("release", "0tqe86"),
    ("release", "--all"),
    ("pause",),
    ("resume",),
)


@pytest.mark.parametrize("command", CHANGING)
async def test_without_a_daemon_they_exit_5_and_say_how_to_start_one(
    shell: Shell, tmp_path, command
):
    async with open_services(tmp_path / "root"):
        pass

    code, out, err = shell(*command)

    assert (code, out) == (Exit.NOT_RUNNING, "")
    assert err == (
        "batchd: the daemon is not running, and only it can do that; start it: batchd run --set"
        f" folders.root={tmp_path / 'root'}, or systemctl start batchd where it is a service\n"
    )


@pytest.mark.parametrize("command", CHANGING)
def test_of_a_root_that_is_not_there_they_say_the_same(shell: Shell, command):
    assert shell(*command)[0] == Exit.NOT_RUNNING


@pytest.mark.parametrize(
    "command",
    [
        ("cancel",),
        ("hold",),
        ("release",),
        ("release", "0tqe86", "--all"),
        ("pause", "everything"),
        ("cancel", "x", "--no"),
    ],
)
def test_a_wrong_command_line_exits_2(shell: Shell, command):
    code, out, err = shell(*command)

    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("batchd: ")


# --- beside a real daemon


@pytest.fixture
def processes(tmp_path: Path):
    with processes_in(tmp_path) as children:
        yield children


def one_open(
    processes: Processes, root: Path, *names: str, **settings: object
) -> tuple[Daemon, Sandbox, list[str]]:
    sandbox = processes.sandbox(batch_seconds=60)
    daemon = processes.daemon(root, sandbox, **settings)
    jobs = []
    for name in names or ("a.jsonl",):
        drop(root, name, requests(3, prefix=name))
        claimed = processes.wait_for_event(daemon, "job.claimed", file=name)
        processes.wait_for_event(daemon, "batch.opened", job=claimed["job"])
        jobs.append(str(claimed["job"]))
    return daemon, sandbox, jobs


@pytest.mark.processes
def test_each_ends_as_its_list_of_exit_codes_says(processes: Processes, shell: Shell, tmp_path):
    """In one life, for a daemon takes its time to start; each line is its own case."""
    _, _, (first, _) = one_open(processes, tmp_path / "root", "a.jsonl", "b.jsonl")
    common = first[:2]  # of the same year
    table: list[tuple[tuple[str, ...], int, str]] = [
        (("hold", first), Exit.OK, f"{first}: held; 1 batch at the provider goes on"),
        (("hold", f"outbox/a--{first}"), Exit.OK, f"{first}: it is held already"),
        (("hold", first, "zzzzzz"), Exit.PARTLY, f"{first}: it is held already"),
        (("release", "--all"), Exit.OK, f"{first}: released"),
        (("release", "--all"), Exit.OK, "no job is held"),
        (("release", first), Exit.OK, f"{first}: it is not held"),
        (("cancel", "zzzzzz"), Exit.NOT_FOUND, "there is no job zzzzzz"),
        (("cancel", "zzzzzz", "zzzzzy"), Exit.NOT_FOUND, "there is no job zzzzzy"),
        (("cancel", common), Exit.USAGE, "is the beginning of several"),
        (("cancel", "../../status"), Exit.NOT_FOUND, "there is no job"),
        (("cancel", first, "--because", "oops"), Exit.OK, "1 of 1 batch is called off"),
        (("cancel", first), Exit.OK, "it was cancelled already (by "),
        (("hold", first), Exit.REFUSED, "it was cancelled"),
        (("pause", "intake"), Exit.OK, "paused; files stay in the inbox"),
        (("pause", "intake"), Exit.OK, "intake rests already"),
        (("pause",), Exit.OK, "paused; no batch is created"),
        (("resume",), Exit.OK, "intake and submission go on"),
        (("resume", "submission"), Exit.OK, "submission did not rest"),
    ]
    for command, expected, said in table:
        code, out, err = shell(*command)
        assert (code, said in out + err) == (expected, True), (command, code, out, err)


@pytest.mark.processes
def test_what_was_paused_rests_over_a_restart(processes: Processes, shell: Shell, tmp_path):
    root = tmp_path / "root"
    daemon, sandbox, _ = one_open(processes, root)
    assert shell("pause", "submission")[0] == Exit.OK
    daemon.kill()
    daemon = processes.daemon(root, sandbox)
    assert "rests already" in shell("pause", "submission")[1]


@pytest.mark.processes
def test_a_killed_daemons_socket_is_nobody_and_the_next_one_answers(
    processes: Processes, shell: Shell, tmp_path
):
    root = tmp_path / "root"
    daemon, sandbox, (job,) = one_open(processes, root)
    daemon.kill()
    assert (root / "var" / "batchd.sock").is_socket()
    assert shell("cancel", job)[0] == Exit.NOT_RUNNING
    code, out, _ = shell("show", job, "--json")
    assert (code, json.loads(out)["source"]) == (Exit.OK, "the ledger")

    daemon = processes.daemon(root, sandbox)
    assert json.loads(shell("show", job, "--json")[1])["source"] == "the daemon"
    assert shell("hold", job)[0] == Exit.OK
    assert daemon.stop() == 0
    assert not (root / "var" / "batchd.sock").exists()


@pytest.mark.processes
def test_what_the_budget_holds_is_released_and_paid_for(
    processes: Processes, shell: Shell, tmp_path
):
    """A real daemon and the sandbox: nothing of it is sent before somebody has seen the sum."""
    root = tmp_path / "root"
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox, budget__per_job=0.0001)
    drop(root, "dear.jsonl", requests(3, prefix="dear"))
    held = processes.wait_for_event(daemon, "job.held", reason="over-budget")
    assert held["text"].endswith(" USD; a job may cost 0.0001 (budget.per_job)")
    assert held["text"] in shell("why", str(held["job"]))[1]
    assert sandbox.ledger()["batches"] == []

    assert shell("release", str(held["job"]))[0] == Exit.OK
    done = processes.wait_for_event(daemon, "job.delivered", job=held["job"])
    spent = json.loads(shell("spend", "--by", "model", "--json")[1])
    assert spent["total"]["requests"] == 3
    assert spent["total"]["cost"] == pytest.approx(done["cost"])


@pytest.mark.processes
def test_a_daemon_that_hangs_is_not_waited_for_and_the_ledger_is_read(
    processes: Processes, shell: Shell, tmp_path
):
    daemon, _, (job,) = one_open(processes, tmp_path / "root")
    daemon.send(signal.SIGSTOP)

    code, out, err = shell("jobs")

    assert (code, out.split()[0]) == (Exit.OK, job)
    assert err.startswith("batchd: the daemon does not answer; this is from the ledger")
    daemon.send(signal.SIGCONT)
    assert json.loads(shell("jobs", "--json")[1])["source"] == "the daemon"
