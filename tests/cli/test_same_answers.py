"""A command says the same whether the daemon answers it or the ledger does, but for who says so."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from batchd.configuration import load
from batchd.configuration.checks import Checks
from batchd.control.serving import listen
from batchd.core.events import Paused
from batchd.core.model import Pause
from batchd.runtime.threads import in_thread
from tests.cli.places import Said, Shell, shell_in
from tests.control.speaking import until
from tests.fakes.clock import FakeClock
from tests.houses import drop, live, open_services, requests, turn, write_task

COMMANDS = [
    "status", "status --json",
    "jobs", "jobs --json", "jobs --state completed --json",
    "show {part}", "show {part} --json", "show {open}", "show zzzzzz",
    "why {part}", "why {part} --json", "why {open}", "why {open} --json", "why 0",
    "why done.jsonl", "why odd.csv", "why {root}/inbox/odd.csv --json", "why b\udcff.csv",
    "why nothing", "why here.txt", "why /etc/passwd --json", "why ../root/outbox",
    "spend", "spend --json", "spend --by model --json", "spend --by task",
    "spend --since 2020-01-01 --json",
    "logs", "logs --json", "logs {part}", "logs {part} --json", "logs done.jsonl --json",
    "logs --level warning --json", "logs --event job.* --json", "logs --since 1h",
    "logs nothing", "logs 0",
    "check good.jsonl", "check good.jsonl --json",
    "task list", "task list --json", "task check mood table.csv", "task check mood table.csv --json",
    "task check mod table.csv", "task check broken table.csv", "task check mood nothing.csv",
    "task new mood2 --from table.csv --print", "task new mood --from table.csv",
    "task new a --from odd.xyz", "config check --offline", "config check --offline --json",
    "config show", "config show --json", "task try mod table.csv", "task try broken table.csv",
    "task try mood odd.xyz", "task try mood other.csv", "task try mood nothing.csv",
]  # fmt: skip


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[dict[str, str]]:
    """A root where something of everything lies; the ids of its jobs."""
    clock = FakeClock(time.time())  # the commands' own
    async with open_services(root, clock=clock, budget={"per_day": 50.0}) as services:
        services.remote.verdicts = {"part-2": [400]}
        drop(root, "done.jsonl", requests(2))
        drop(root, "part.jsonl", requests(2, prefix="part"))
        drop(root, "bad.jsonl", [b"nonsense"])
        await live(services, deliveries=3)
        services.remote.batch_seconds = 10_000.0
        drop(root, "open.jsonl", requests(2, prefix="open"))
        while len(services.remote.opened) < 3:
            await turn(services)
            clock.advance(1.0)
        write_task(root, "mood", 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n')
        write_task(root, "broken", "model =\n")
        services.checks = lambda: Checks(None, (), os.environ, Path.cwd())
        services.direct = lambda: pytest.fail("nothing is to be asked of a provider here")
        services.provenance = load(None, (), os.environ, Path.cwd()).provenance(os.environ)
        for name in ("odd.csv", "b\udcff.csv", ".hidden"):
            (root / "inbox" / name).touch()
        await services.ledger.record(Paused(what=Pause.INTAKE, by="anna"), at=clock.now())
        write_log(services.folders.log, jobs := await ids(services))
        yield {**jobs, "root": str(root), "services": services}


async def ids(services) -> dict[str, str]:
    found = await services.ledger.lend(
        lambda connection: connection.execute("SELECT id, name FROM jobs").fetchall()
    )
    return {row["name"].decode().partition(".")[0]: row["id"] for row in found}


def write_log(log: Path, jobs: dict[str, str]) -> None:
    log.parent.mkdir(exist_ok=True)
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    lines = [{"ts": now, "level": "info", "event": "daemon.ready", "pid": 1}]
    for name, job in jobs.items():
        about = {"ts": now, "job": job}
        lines.append({**about, "level": "info", "event": "job.claimed", "file": f"{name}.jsonl"})
        lines.append({**about, "level": "warning", "event": "plan.delayed", "text": "no room"})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    run = shell_in(tmp_path / "here", monkeypatch, capsys, root=tmp_path / "root")
    monkeypatch.setenv("BATCHD_BUDGET__PER_DAY", "50")
    for name, value in (("MIN_FREE_BYTES", "0"),):
        monkeypatch.setenv(f"BATCHD_FOLDERS__{name}", value)
    for name, value in (
        ("INBOX__SETTLE_SECONDS", "1"),
        ("INBOX__EMPTY_GRACE_SECONDS", "3"),
        ("BATCHES__DOUBT_SECONDS", "20"),
        ("INBOX__SCAN_SECONDS", "10"),
        ("BATCHES__POLL_MIN_SECONDS", "5"),
        ("BATCHES__POLL_MAX_SECONDS", "10"),
    ):
        monkeypatch.setenv(f"BATCHD_{name}", value)
    config = tmp_path / "root" / "config" / "batchd.toml"
    config.parent.mkdir(parents=True)
    config.touch()
    monkeypatch.setenv("BATCHD_CONFIG", str(config))
    Path("here.txt").touch()
    Path("table.csv").write_text("id,text\na,one\nb,two\n")
    Path("other.csv").write_text("title\none\n")
    Path("odd.xyz").write_text("?")
    Path("good.jsonl").write_text("".join(json.dumps(line) + "\n" for line in requests(2)))
    return run


def without_who(said: Said) -> Said:
    """An answer but for who gives it, where a setting is from, and how many seconds ago it was."""
    out = re.sub(r'"(source|by)": ?"(the (daemon|ledger)|this command)"', '"\\1": "X"', said.out)
    out = re.sub(r"^(the daemon finds:\n|# what the daemon runs with; )", "", out)
    out = re.sub(r"^# /", "/", out)
    out = re.sub(r'"origin": ?"[^"]*"', '"origin": "X"', out)
    out = re.sub(r"\((the default|environment[^)]*|BATCHD_\w+)\)$", "(X)", out, flags=re.MULTILINE)
    out = re.sub(r"\b\d+(\.\d+)? ?s\b( ago)? *", "N s", out)  # with what aligns it
    out = re.sub(r'_seconds": -?[\d.]+', '_seconds": N', out)
    said_no = re.sub(r"; the daemon is not .* read only$", "", said.err, flags=re.MULTILINE)
    err = "".join(line for line in said_no.splitlines(True) if "the daemon is not" not in line)
    return Said(said.code, out, err)


async def test_a_daemon_and_a_ledger_say_the_same(shell, tmp_path):
    async with house(tmp_path / "root") as about:
        services = about.pop("services")
        told: dict[str, Said] = {}

        def tell() -> None:
            for command in COMMANDS:
                told[command] = shell(*command.format(**about).split())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, services)
            await until(services.folders.socket.is_socket)
            await in_thread(tell)
            tasks.cancel_scope.cancel()
        by_daemon = dict(told)
        await in_thread(tell)

    for command in COMMANDS:
        ours, theirs = without_who(told[command]), without_who(by_daemon[command])
        assert theirs.out.split(", ") == ours.out.split(", "), command
        assert (theirs.code, theirs.err) == (ours.code, ours.err), command
        assert "the daemon is not" not in by_daemon[command].err, command
    heard = [told[command] for command in COMMANDS if "--json" not in command]
    assert sum("the daemon is not" in one.err for one in heard) > 15, "and it says so"
    sources = {json.loads(by_daemon[c].out)["source"] for c in COMMANDS if c[:3] in ("why", "sta")
               and "--json" in c}  # fmt: skip
    assert sources == {"the daemon"}
