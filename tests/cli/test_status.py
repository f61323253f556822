"""`batchd status`: one screen, quickly, whether the daemon runs or not."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.core.events import Paused
from batchd.core.model import Pause
from batchd.runtime.threads import in_thread
from tests.acceptance.processes import Processes, processes_in
from tests.control.asking import open_batches
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, requests, turn

LINES = 23  #: of the 24 of a terminal that nobody has made larger; the prompt has the last one
HEAVY = {
    "openai",
    "httpx2",
    "anyio",
    "asyncio",
    "aiosqlite",
    "structlog",
    "rich",
    "watchfiles",
    "uvicorn",
}


@pytest.fixture
def status(capsys, tmp_path, monkeypatch):
    """Run it on the root `root`: stdout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHD_CONFIG", raising=False)

    def run(*arguments: str) -> str:
        root = f"folders.root={tmp_path / 'root'}"
        capsys.readouterr()  # what a house in the test has logged
        assert invoke(batchd, ["status", *arguments, "--set", root]) == Exit.OK
        return str(capsys.readouterr().out)

    return run


def test_of_a_root_that_is_not_there_yet_it_says_so(status, tmp_path):
    out = status()

    assert out.startswith(f"daemon       not here: {tmp_path / 'root'} is no root of batchd")
    assert "inbox        cannot be listed: No such file or directory" in out
    assert not (tmp_path / "root").exists()


async def test_what_was_spent_today_is_a_line(status, tmp_path):
    """3 answers of gpt-4o-mini with 12 tokens in and 3 out, as the fake says; then one at work."""
    root = tmp_path / "root"
    async with open_services(root, clock=FakeClock(time.time())) as services:
        drop(root, "done.jsonl", requests(3))
        await live(services, deliveries=1)
        assert "spent today  0.0000 USD\n" in status()
        assert json.loads(status("--json"))["budget"]["spent_today"] == pytest.approx(
            3 * (12 * 0.075 + 3 * 0.30) / 1e6, abs=1e-8
        )
        await open_batches(services, "more.jsonl")
        out = status("--set", "budget.per_day=50")
        assert re.search(r"spent today  0.0000 of 50.00 USD; 0.0\d+ expected of what is under", out)


async def test_many_jobs_and_many_reasons_fit_one_screen(status, tmp_path):
    root = tmp_path / "root"
    async with open_services(root, clock=FakeClock(time.time())) as services:  # the command's own
        drop(root, "done.jsonl", requests(1))
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=2)
        await open_batches(services, *(f"{number}.jsonl" for number in range(20)))
        for name in ("a.csv", "b.part", ".c", "d.jsonl"):
            (root / "inbox" / name).touch()

        out = status()

        assert len(out.splitlines()) <= LINES
        assert "1 waiting (1 not-running); 3 ignored (" in out
        assert "20 on their way; 2 ended (" in out
        assert "20 open of 100 allowed, the oldest for" in out
        shown = len(re.findall(r"  batch_\d+$", out, re.MULTILINE))
        assert f"and {20 - shown} younger ones" in out
        told = json.loads(status("--json"))
        assert told["jobs"] == {
            "on_their_way": {"claimed": 20},
            "ended": {"completed": 1, "rejected": 1},
        }
        assert len(told["batches"]["open"]) == 20


async def test_what_rests_is_told_with_the_name_and_the_way_on(status, tmp_path):
    async with open_services(tmp_path / "root") as services:
        assert "\npaused" not in status()
        for what in Pause:
            paused = Paused(what=what, by="anna")
            await services.ledger.record(paused, at=services.clock.now())
        assert "intake, by anna; submission, by anna; batchd resume goes on" in status()
        assert json.loads(status("--json"))["paused"] == {"intake": "anna", "submission": "anna"}


async def test_the_last_problem_is_the_logs(status, tmp_path):
    log = tmp_path / "root" / "var" / "log" / "batchd.jsonl"
    log.parent.mkdir(parents=True)
    event = {"ts": "2026-11-21T10:00:00.000Z", "level": "warning", "event": "submit.deferred"}
    log.write_text(json.dumps(event | {"shard": "0tqe86-1", "reason": "no\x1b[31mway"}) + "\n")

    (last,) = (line for line in status().splitlines() if line.startswith("last problem "))

    assert last.endswith("ago, submit.deferred (0tqe86-1): no\\x1b[31mway")


async def test_however_ill_it_is_it_fits_and_ends_with_what_to_type(status, tmp_path):
    root = tmp_path / "root"
    async with open_services(
        root, clock=FakeClock(time.time()), budget={"per_job": 1e-6}
    ) as services:
        services.remote.deny()
        for number in range(8):
            drop(root, f"{number}.jsonl", requests(number + 1))
        while len(await services.ledger.jobs_in("held")) < 7:
            services.clock.advance(1.0)
            await turn(services)
        for number in range(12):
            (root / "inbox" / f"{number}.jsonl").touch()

        out = status()

    lines = out.splitlines()
    assert len(lines) <= LINES
    assert lines[-1].lstrip().startswith("-> ")
    ill = lines.index(next(line for line in lines if line.startswith("not well")))
    assert "high, not-running" in lines[ill]
    assert any("-> batchd release " in line for line in lines[ill:]), out
    told = json.loads(status("--json"))["health"]
    assert {"code", "severity", "since", "text", "fix", "count"} == set(told[0])


def terminal(*arguments: str, cwd: Path, until: str, stop: bool = False) -> tuple[int, str]:
    """Run status on a terminal of 24 lines and 80 columns: exit code, and what was drawn."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES + 1, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "batchd", "status", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its last program
        while chunk := os.read(ours, 65_536):
            drawn += chunk
            if stop and until.encode() in drawn:
                process.send_signal(signal.SIGINT)
                stop = False
    os.close(ours)
    return process.wait(30), drawn.decode()


async def test_on_a_terminal_there_are_bars_and_no_line_wraps(tmp_path, monkeypatch):
    root = tmp_path / "root"
    monkeypatch.setenv("BATCHD_FOLDERS__ROOT", str(root))
    async with open_services(root, clock=FakeClock(time.time())) as services:
        await open_batches(services, *(f"{number}{'x' * 60}.jsonl" for number in range(9)))

        code, drawn = await in_thread(terminal, cwd=Path.cwd(), until="")

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in drawn.splitlines()]
    assert code == Exit.OK
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 80
    assert "━" in drawn
    assert "9 open of 100 allowed" in drawn


def test_it_is_watched_until_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHD_FOLDERS__ROOT", str(tmp_path / "root"))

    code, drawn = terminal("--watch", cwd=Path.cwd(), until="last problem", stop=True)

    assert code == Exit.OK
    assert "not here" in drawn


def test_watching_without_a_terminal_is_a_mistake(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert invoke(batchd, ["status", "--watch"]) == Exit.USAGE
    assert "--watch --json" in capsys.readouterr().err


LOADED = (
    "import sys\n"
    "from batchd.cli import batchd\n"
    "from batchd.cli.exits import invoke\n"
    "invoke(batchd, sys.argv[1:])\n"
    "print(*sorted(sys.modules), file=sys.stderr)\n"
)


@pytest.mark.parametrize("command", [["status"], ["why", "a.jsonl"], ["jobs"]])
def test_none_loads_anything_heavy(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command, "--set", f"folders.root={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path.cwd(),
    )

    assert not HEAVY & set(done.stderr.split())


@pytest.fixture
def processes(tmp_path: Path):
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
def test_beside_a_real_daemon_it_shows_what_is_open_and_by_whom(
    processes: Processes, status, tmp_path
):
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=60)
    daemon = processes.daemon(root, sandbox, folders__min_free_bytes=1)
    drop(root, "a.jsonl", requests(3))
    processes.wait_for_event(daemon, "batch.opened")

    started = time.monotonic()
    told = json.loads(status("--json"))
    assert time.monotonic() - started < 2  # a busy machine's; the target is 0.4 s

    assert (told["daemon"]["running"], told["daemon"]["pid"]) == (True, daemon.pid)
    assert [batch["name"] for batch in told["batches"]["open"]] == ["a.jsonl"]
    assert [wait["code"] for wait in told["waits"]] == ["at-the-provider"]
    assert status().startswith("daemon       running for ")
