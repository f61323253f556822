"""`batchd logs`: every line of a job by any of its names, readable, and followed through rotation."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.cli.log_journal import entry_of
from batchd.cli.log_shape import Fold, Shape
from batchd.control.log_files import lines_after
from batchd.control.log_pages import Pages
from tests.acceptance.processes import processes_in
from tests.houses import drop, live, open_services, requests

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIFE = [
    {"event": "daemon.ready", "pid": 1},
    {"event": "job.claimed", "job": "0tr1c1", "file": "a.jsonl", "bytes": 12},
    {"event": "job.claimed", "job": "0tr1c2", "file": "b.jsonl", "bytes": 13},
    {"event": "plan.delayed", "level": "warning", "subject": "0tr1c1", "text": "full"},
    {"event": "batch.opened", "job": "0tr1c1", "shard": "0tr1c1-1", "batch": "batch_aa11"},
    {"event": "batch.opened", "job": "0tr1c1", "shard": "0tr1c1-2", "batch": "batch_bb22"},
    {"event": "submit.delayed", "level": "warning", "subject": "0tr1c1-2", "text": "no room"},
    {"event": "job.delivered", "job": "0tr1c1", "file": "a.jsonl", "outcome": "completed"},
]


def line(seconds: float = 0.0, /, **facts: Any) -> str:
    ts = (NOON + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return json.dumps({"ts": ts, "level": "info", **facts}, ensure_ascii=False) + "\n"


class Root:
    """A root with a log, and the command run on it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.log = root / "var" / "log" / "batchd.jsonl"
        self.log.parent.mkdir(parents=True)
        self._capsys = capsys
        self.err = ""

    def write(self, *events: dict[str, Any], to: str = "batchd.jsonl", first: float = 0.0) -> None:
        lines = (line(first + n, **event) for n, event in enumerate(events))
        (self.log.parent / to).write_text("".join(lines))

    def run(self, *arguments: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = invoke(batchd, ["logs", *arguments, "--set", f"folders.root={self.root}"])
        out, self.err = self._capsys.readouterr()
        return code, out

    def events(self, *arguments: str) -> list[str]:
        code, out = self.run(*arguments, "--json")
        assert code == Exit.OK, self.err
        return [json.loads(one)["event"] for one in out.splitlines()]


@pytest.fixture
def root(tmp_path, monkeypatch, capsys) -> Root:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHD_CONFIG", raising=False)
    return Root(tmp_path / "root", capsys)


OF_THE_JOB = [event["event"] for n, event in enumerate(LIFE) if n not in (0, 2)]


@pytest.mark.parametrize(
    "word",
    [
        "0tr1c1",
        "a.jsonl",
        "inbox/a.jsonl",
        "outbox/a--0tr1c1",
        "var/work/0tr1c1",
        "batch_aa11",
        "batch_bb",
    ],
)
def test_every_line_of_a_job_is_found_by_any_of_its_names_without_a_ledger(root, word):
    root.write(*LIFE)

    assert root.events(word) == OF_THE_JOB


def test_a_shard_has_its_own_lines_and_those_of_its_job(root):
    root.write(*LIFE)

    found = root.events("0tr1c1-2")

    assert found == [
        "job.claimed",
        "plan.delayed",
        "batch.opened",
        "submit.delayed",
        "job.delivered",
    ]


async def test_the_ledger_says_which_job_a_batch_or_a_name_is(root):
    """The line that would tell is in a file that was rotated away long ago."""
    async with open_services(root.root) as services:
        drop(root.root, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        batch, job = services.remote.opened[0][1], (await services.ledger.last_job())
    root.write({"event": "job.delivered", "job": job}, {"event": "other", "job": "0tr1c9"})

    assert root.events("a.jsonl") == ["job.delivered"]
    assert root.events(batch) == ["job.delivered"]
    assert root.events(job[:6]) == ["job.delivered"]


def test_what_nobody_knows_is_exit_4_and_what_is_no_whole_id_is_exit_2(root):
    root.write(*LIFE)

    assert root.run("nobody.jsonl")[0] == Exit.NOT_FOUND
    assert "nothing is known of nobody.jsonl" in root.err
    assert root.run("0tr1")[0] == Exit.USAGE
    assert "several: 0tr1c1, 0tr1c2" in root.err


def test_only_what_is_asked_for_is_shown(root):
    root.write(*LIFE)

    assert root.events("--level", "warning") == ["plan.delayed", "submit.delayed"]
    assert root.events("--event", "batch.*") == ["batch.opened", "batch.opened"]
    assert root.events("--since", "2026-11-21T12:00:06Z") == ["submit.delayed", "job.delivered"]
    assert root.events("a.jsonl", "--event", "batch.*", "--level", "error") == []


def test_rotated_files_come_in_order_and_half_lines_not_at_all(root):
    for number, name in [(10, "batchd.jsonl.10"), (2, "batchd.jsonl.2"), (1, "batchd.jsonl.1")]:
        root.write({"event": f"e.{number}"}, to=name)
    packed = root.log.parent / "batchd.jsonl.3.gz"
    packed.write_bytes(gzip.compress(line(event="e.3").encode()))
    root.log.write_text('"event": "half"}\n[1]\n' + line(event="e.0") + '{"event": "e.h')

    assert root.events() == ["e.10", "e.3", "e.2", "e.1", "e.0"]


def test_json_gives_the_lines_as_they_are(root):
    root.write({"event": "x", "text": "Ü \x1b[31m"}, {"event": "y"})

    assert root.run("--json")[1] == root.log.read_text()


# --- for people


def test_a_line_has_time_level_event_subject_and_the_rest(root):
    root.write({"event": "batch.opened", "job": "0tr1c1", "shard": "0tr1c1-1", "batch": "b 1"})

    (shown,) = root.run()[1].splitlines()

    clock = NOON.astimezone().strftime("%m-%d %H:%M:%S")
    assert shown == f'{clock}  info    batch.opened        0tr1c1-1   job=0tr1c1  batch="b 1"'


def test_nothing_that_was_logged_steers_the_terminal(root):
    evil = "\x1b]0;owned\x07 \x9b31m \u202e \r\n"
    root.write(
        {"event": f"e{evil}", "level": evil, "job": evil, evil: evil, "text": {evil: evil}},
        {"event": "f", "exception": f"Traceback\n  {evil}"},
    )

    out = root.run()[1]

    assert all(c.isprintable() or c == "\n" for c in out)
    assert len(out.splitlines()) == 4  # the two, and the traceback's


def test_a_long_line_is_wrapped_to_the_terminal_and_coloured():
    text = " ".join(["word"] * 60)
    facts = {"ts": NOON.isoformat(), "level": "error", "event": "e", "text": text}

    plain = Shape(width=60).show(facts).splitlines()
    coloured = Shape(width=60, in_colour=True).show(facts)

    assert max(map(len, plain)) <= 60
    assert all(one.startswith("    ") for one in plain[1:])
    assert "\x1b[31m" in coloured
    assert "\x1b" not in "\n".join(plain)


def folded(*events: dict[str, Any]) -> list[str]:
    shown: list[str] = []
    fold = Fold(Shape(), shown.append)
    for event in events:
        fold.add(event)
    fold.close()
    return shown


def at(seconds: float, **facts: Any) -> dict[str, Any]:
    return {"ts": (NOON + timedelta(seconds=seconds)).isoformat(), "level": "warning", **facts}


def test_what_comes_again_and_again_is_shown_once_and_counted():
    delays = [at(n * 2, event="poll.delayed", subject="sweep", text=f"try {n}") for n in range(300)]
    other = at(5, event="poll.delayed", subject="sweep", text="another reason")

    shown = folded(*delays[:3], other, *delays[3:])

    assert len(shown) == 3
    assert "try 0" in shown[0]
    assert "another reason" in shown[1]
    assert "x300 in 9 min" in shown[2]


def test_a_count_is_told_every_ten_minutes_and_one_repetition_as_it_is():
    delays = [at(n, event="poll.delayed", text="down") for n in range(0, 1300, 100)]

    shown = folded(*delays, at(5000, event="e"), at(5001, event="e"))

    counts = [one.split("x", 1)[1].split("  ")[0] for one in shown if "  x" in one]
    assert [count.split(" ")[0] for count in counts] == ["6", "6"]
    assert sum(one.endswith(" e") for one in shown) == 2


def test_information_is_never_folded():
    events = [{**at(n, event="job.claimed", job="a"), "level": "info"} for n in range(5)]

    assert len(folded(*events)) == 5


# --- whoever reads, and where from


def test_a_reader_who_has_seen_enough_is_no_error(root):
    root.write(*({"event": "e", "text": "x" * 500} for _ in range(2000)))
    command = [sys.executable, "-m", "batchd", "logs", "--set", f"folders.root={root.root}"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read().decode()
        assert said == "batchd: the daemon is not running; this is from its files\n"
        assert child.wait(30) == Exit.OK


def test_without_a_log_the_journal_is_read_where_there_is_one(root, tmp_path, monkeypatch):
    ours = json.dumps({"MESSAGE": line(event="job.claimed", job="0tr1c1", file="a.jsonl")})
    native = {"MESSAGE": "job.planned", "PRIORITY": "4", "BATCHD_EVENT": "job.planned"}
    other = json.dumps(
        {**native, "BATCHD_JOB": "0tr1c1", "__REALTIME_TIMESTAMP": "1790000000000000"}
    )
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\ncat <<'E'\n{ours}\n{other}\nE\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    assert root.events("a.jsonl") == ["job.claimed", "job.planned"]
    assert "this is from the journal" in root.err
    assert "--identifier=batchd" in (tmp_path / "asked").read_text()
    assert root.events("--level", "warning") == ["job.planned"]


def test_without_a_log_and_a_journal_it_says_so(root, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    code, out = root.run()

    assert (code, out) == (Exit.OK, "")
    assert "there is no" in root.err
    assert "no journalctl" in root.err


def test_a_journal_entry_may_be_anything():
    assert entry_of(b"nonsense") is None
    assert entry_of(b'{"MESSAGE": [104, 105, 999], "PRIORITY": "x"}').facts["event"] == "hi"
    assert entry_of(b'{"MESSAGE": null}').facts["level"] == "info"


# --- followed


class Follower:
    """What a reader is told who asks again and again, from where the last answer ended."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._after: str | None = None

    def news(self) -> list[str]:
        found: list[str] = []
        while True:
            page = Pages(most=2).page(self._log, None, after=self._after)
            found += [json.loads(bytes(raw))["event"] for raw in page.lines]
            self._after = page.after
            if not page.more:
                return found


@pytest.fixture
def log(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder / "batchd.jsonl"


def add(log: Path, *events: str, end: str = "") -> None:
    with log.open("a") as file:
        file.write("".join(line(event=event) for event in events) + end)


def test_a_log_is_followed_that_is_not_there_yet(log):
    follower = Follower(log)
    assert follower.news() == []
    add(log, "a")
    assert follower.news() == ["a"]
    add(log, "b", end='{"event": ')
    assert follower.news() == ["b"]
    add(log, end='"c"}\n')
    assert follower.news() == ["c"]


def test_a_log_is_followed_through_rotation_and_nothing_is_told_twice(log):
    add(log.with_name("batchd.jsonl.1"), "older")
    add(log, "a")
    follower = Follower(log)
    assert follower.news() == ["older", "a"]
    add(log, "b")
    log.with_name("batchd.jsonl.1").rename(log.with_name("batchd.jsonl.2"))
    log.rename(log.with_name("batchd.jsonl.1"))
    assert follower.news() == ["b"]
    add(log, "c")
    assert follower.news() == ["c"]
    log.rename(log.with_name("batchd.jsonl.1"))  # two at once
    add(log, "d")
    log.with_name("batchd.jsonl.1").rename(log.with_name("batchd.jsonl.2"))
    log.rename(log.with_name("batchd.jsonl.1"))
    add(log, "e")
    assert follower.news() == ["d", "e"]


def test_a_log_is_followed_that_is_cut_or_taken_away(log):
    add(log.with_name("batchd.jsonl.1"), "older")
    add(log, "a", "b", "c")
    follower = Follower(log)
    assert follower.news() == ["older", "a", "b", "c"]
    log.write_text("")
    assert follower.news() == []
    add(log, "d")
    assert follower.news() == ["d"]
    log.unlink()
    assert follower.news() == []
    add(log, "e")
    assert follower.news() == ["e"]


def test_following_a_name_that_is_not_known_yet_waits_for_it(root):
    """As a process: it goes on until it is told to stop."""
    root.write(LIFE[0])
    command = [sys.executable, "-m", "batchd", "logs", "a.jsonl", "--follow", "--json"]
    where = ["--set", f"folders.root={root.root}"]
    with subprocess.Popen([*command, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as c:
        assert c.stdout
        assert c.stderr
        guard = threading.Timer(30, c.kill)
        guard.start()
        assert b"waiting" in c.stderr.readline()
        add(root.log, "other")
        with root.log.open("a") as file:
            file.writelines(line(**event) for event in LIFE)
        found = [json.loads(c.stdout.readline())["event"] for _ in OF_THE_JOB]
        c.terminate()
        c.wait(30)
        guard.cancel()
    assert found == OF_THE_JOB


def test_no_more_than_a_line_is_held_in_memory(log):
    with log.open("w") as file:
        for _ in range(200_000):
            file.write(line(event="e", text="x" * 100))
    tracemalloc.start()
    assert sum(1 for line, _ in lines_after(log, None) if line) == 200_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.processes
def test_a_log_is_followed_from_one_daemon_to_the_next(tmp_path):
    """While one answers it is asked, while none does its files are read: nothing twice, no gap."""
    root = tmp_path / "root"
    with processes_in(tmp_path) as processes:
        sandbox = processes.sandbox()
        first, pids = processes.daemon(root, sandbox), list[int]()
        command = [sys.executable, "-m", "batchd", "logs", "--follow", "--json"]
        where = ["--event", "daemon.*", "--set", f"folders.root={root}"]
        with subprocess.Popen([*command, *where], stdout=subprocess.PIPE) as following:
            guard = threading.Timer(60, following.kill)
            guard.start()
            heard = list[dict[str, Any]]()
            for start in (lambda: first, lambda: processes.daemon(root, sandbox)):
                daemon = start()
                heard += _heard(following, 1)
                assert daemon.stop() == 0
                heard += _heard(following, 2)
                pids.append(daemon.pid)
            following.terminate()
            following.wait(30)
            guard.cancel()

    assert [fact["event"] for fact in heard] == [
        *("daemon.ready", "daemon.stopping", "daemon.stopped"),
        *("daemon.ready", "daemon.stopping", "daemon.stopped"),
    ]
    assert [heard[0]["pid"], heard[3]["pid"]] == pids


def _heard(following: subprocess.Popen[bytes], count: int) -> list[dict[str, Any]]:
    assert following.stdout
    return [json.loads(following.stdout.readline()) for _ in range(count)]


def test_a_fact_that_says_nothing_is_not_shown():
    facts = {"ts": "2026-11-21T10:00:00.000Z", "level": "info", "event": "notice.sent"}

    assert "null" not in Shape().show({**facts, "job": "7k3c9q", "reason": None, "text": "exit 0"})
