"""`batchd why`: what a person sees, what a program sees, and the exit codes."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.core.reasons import ReasonCode
from tests.acceptance.processes import Processes, processes_in
from tests.control.test_inbox import anything
from tests.houses import drop, live, open_services, requests

READ = (
    "batchd: the daemon is not running (start it: batchd run); this is from the ledger, read only\n"
)


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHD_", "OPENAI_", "CREDENTIALS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def why(capsys, tmp_path):
    """Run it on the root `root`: code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()  # what a house in the test has logged
        code = invoke(batchd, ["why", *arguments, "--set", f"folders.root={tmp_path / 'root'}"])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "root" / "inbox").mkdir(parents=True)
    return tmp_path / "root" / "inbox"


def test_a_reason_is_one_code_and_one_sentence(why, inbox):
    (inbox / "photo.png").touch()

    code, out, err = why("root/inbox/photo.png")

    assert (code, err) == (Exit.OK, READ)
    said, setting = out.splitlines()
    assert said == (
        "ignored   not-wanted-name: its name is not like *.jsonl, *.ndjson, *.jsonl.gz or"
        " *.ndjson.gz; rename it, and it is taken"
    )
    assert setting.strip().startswith('inbox.include = ["*.jsonl", ')


def test_the_setting_comes_with_the_line_it_stands_on(why, inbox):
    Path("mine.toml").write_text('[inbox]\nsettle_seconds = 2\nignore = ["draft-*"]\n')
    (inbox / "draft-1.jsonl").touch()

    _, out, _ = why("draft-1.jsonl", "--config", "mine.toml")

    assert out.splitlines()[1].strip() == 'inbox.ignore = ["draft-*"] (mine.toml, line 3)'


def test_without_a_daemon_it_says_so(why, inbox):
    (inbox / "a.jsonl").touch()

    code, out, _ = why("inbox/a.jsonl")

    assert code == Exit.OK
    assert out.startswith("waiting   not-running: the daemon is not running; start it")


@pytest.mark.parametrize("word", ["never.jsonl", "0tqe86", "batch_0", "/etc/passwd", "inbox/no"])
def test_what_nothing_is_known_of_exits_4(why, inbox, word):
    code, out, err = why(word)

    assert (code, err) == (Exit.NOT_FOUND, READ)
    assert out.startswith("elsewhere ")


async def test_a_job_is_told_with_its_name_and_by_json_with_its_facts(why, tmp_path):
    async with open_services(tmp_path / "root") as services:
        drop(tmp_path / "root", "a\n.jsonl", requests(2))
        await live(services, deliveries=1)
        job = str(await services.ledger.last_job())

    code, out, _ = why(job)
    first, second = out.splitlines()
    told = json.loads(why(job, "--json")[1])

    assert code == Exit.OK
    assert first.startswith("done      delivered: outbox/a_--")
    assert second.strip().startswith(f"job {job} (a\\n.jsonl), taken")
    assert (told["code"], told["job"], told["standing"]) == ("delivered", job, "done")
    assert told["facts"]["requests"] == 2
    assert told["daemon"]["running"] is False


async def test_a_beginning_of_several_is_a_wrong_command_line(why, tmp_path):
    async with open_services(tmp_path / "root") as services:
        for name in ("a.jsonl", "b.jsonl"):
            drop(tmp_path / "root", name, requests(1))
        await live(services, deliveries=2)
        job = str(await services.ledger.last_job())

    code, _, err = why(job[:3])

    assert code == Exit.USAGE
    assert "is the beginning of several" in err


# --- R1, R36, with the real daemon


@pytest.fixture
def processes(tmp_path: Path):
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
def test_beside_a_real_daemon_each_of_many_things_has_one_reason(
    processes: Processes, why, tmp_path
):
    """And what it makes to answer leaves nothing that its next start would stumble over."""
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=60)
    daemon = processes.daemon(root, sandbox, folders__min_free_bytes=1, inbox__settle_seconds=2)
    dice = random.Random(1)
    for number in range(120):
        anything(root / "inbox", dice, number)
    names = [path.name for path in (root / "inbox").iterdir() if path.name != ".tmp"]
    time.sleep(0.7)  # at least one look of the daemon's, and one list of what waits

    for name in names:
        code, out, _ = why(f"{root}/inbox/{name}", "--json")
        told = json.loads(out)
        assert code == Exit.OK, name
        assert told["code"] in list(ReasonCode)
        assert told["standing"] in {"waiting", "ignored", "claimed", "rejected", "held", "done"}

    assert daemon.stop() == 0
    assert not list((root / "var").glob("batchd.db-*"))
    assert json.loads(why(f"{root}/inbox", "--json")[1])["daemon"]["running"] is False
    assert not list((root / "var").glob("batchd.db-*"))
    daemon = processes.daemon(root, sandbox, folders__min_free_bytes=1)
    assert json.loads(why(f"{root}/inbox", "--json")[1])["daemon"]["pid"] == daemon.pid
    daemon.kill()
    assert json.loads(why(f"{root}/inbox", "--json")[1])["daemon"]["running"] is False
    assert processes.daemon(root, sandbox, folders__min_free_bytes=1).stop() == 0
