"""The demo: a story told from facts, and the real thing once, from drop to nothing left behind."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from batchd.cli.demo import SAMPLE
from batchd.cli.demo_children import Child, DemoFailed, together
from batchd.cli.demo_log import Tail
from batchd.cli.demo_story import STAGES, Line, Story
from batchd.cli.demo_views import OnTerminal, View, view_for
from batchd.cli.exits import Exit

FACTS = [
    {"event": "job.claimed", "job": "7k3c9q", "file": "reviews.jsonl"},
    {"event": "job.planned", "requests": 24, "shards": 1},
    {"event": "shard.uploaded", "bytes": 10169, "input_file_id": "file-1"},
    {"event": "batch.opened", "batch": "batch_0123456789abcdef0123456789"},
    {"event": "batch.seen", "status": "validating", "completed": 0, "total": 0},
    {"event": "batch.seen", "status": "in_progress", "completed": 3, "total": 24},
    {"event": "batch.progress", "completed": 12, "total": 24},
    {"event": "batch.ended", "status": "completed"},
    {"event": "shard.collected", "kept": 24, "failed": 0, "again": 0},
    {"event": "job.delivered", "folder": "reviews--7k3c9q", "seconds": 4.26},
]


# --- the story


def test_each_fact_has_its_stage_and_its_sentence():
    story = Story()
    told = [story.tell(fact) for fact in FACTS]

    assert told == [
        Line("claim", "reviews.jsonl left the inbox and is job 7k3c9q"),
        Line("plan", "24 requests, batches: 1"),
        Line("submit", "10,169 bytes uploaded, file-1"),
        Line("submit", "batch_01234567… is open"),
        Line("poll", "validating"),
        Line("poll", "in_progress: 3 of 24 answered"),
        Line("poll", "12 of 24 answered"),
        Line("poll", "completed"),
        Line("collect", "24 answers kept, 0 failed, 0 to try again"),
        Line("deliver", "outbox/reviews--7k3c9q/ after 4.3 s"),
    ]


def test_the_current_stage_moves_on_and_the_story_ends_with_the_folder():
    story = Story()
    current = []
    for fact in FACTS:
        assert not story.is_over
        story.tell(fact)
        current.append(story.current)

    assert current == [
        *("plan", "submit", "submit", "poll", "poll", "poll", "poll"),
        *("collect", "deliver", None),
    ]
    assert story.is_over
    assert (story.answered, story.requests, story.folder) == (24, 24, "reviews--7k3c9q")


def test_a_fact_that_lacks_something_spoils_no_demo():
    for fact in FACTS:
        assert Story().tell({"event": fact["event"]}) is not None


def test_what_nobody_knows_is_told_only_when_it_is_a_warning():
    assert Story().tell({"event": "answers.fetched", "level": "info"}) is None
    assert Story().tell({"event": "x.y", "level": "warning", "reason": "so"}) == Line(
        "!", "x.y: so"
    )


# --- the log


def test_the_log_is_followed_line_by_whole_line(tmp_path):
    file = tmp_path / "log.jsonl"
    tail = Tail(file)
    assert tail.new() == []
    file.write_text('{"event": "a"}\n{"eve')
    assert tail.new() == [{"event": "a"}]
    with file.open("a") as log:
        log.write('nt": "b"}\n')
    assert tail.new() == [{"event": "b"}]
    assert tail.new() == []


# --- the views


def test_a_terminal_shows_the_stages_in_place_and_a_pipe_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")

    assert type(view_for(Console(file=io.StringIO()))) is View
    assert type(view_for(Console(file=io.StringIO(), force_terminal=True))) is OnTerminal
    monkeypatch.setenv("TERM", "dumb")
    assert type(view_for(Console(file=io.StringIO(), force_terminal=True))) is View


def test_the_picture_has_all_stages_what_is_done_and_the_warnings():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    story = Story()
    with OnTerminal(console) as view:
        for fact in FACTS[:7]:
            story.tell(fact)
        view.line(Line("!", "remote.denied: no"), 1.0)
        view.refresh(story, 1.0)
    shown = out.getvalue()

    assert all(stage in shown for stage in STAGES)
    assert "✓ submit" in shown
    assert "· collect" in shown
    assert "12 of 24 answered · 1.0 s" in shown
    assert "! remote.denied: no" in shown


# --- the sample


def test_the_sample_is_two_dozen_native_request_lines():
    requests = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]

    assert len({request["custom_id"] for request in requests}) == 24
    assert {(r["method"], r["url"], r["body"]["model"]) for r in requests} == {
        ("POST", "/v1/chat/completions", "gpt-4o-mini")
    }


# --- the children


def test_a_child_that_ends_by_itself_is_said_with_its_last_words(tmp_path, capsys):
    def watched() -> None:
        with together() as children:
            children.append(Child("version", output=tmp_path / "out.txt"))
            until(lambda: children[0].must_live())

    with pytest.raises(DemoFailed, match="version ended by itself, with exit code 0"):
        watched()

    assert "--- the last that version said:\nbatchd  " in capsys.readouterr().err


def test_a_child_sees_nothing_of_the_users_key_and_settings(tmp_path, monkeypatch):
    """With the second the daemon would not even start."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real-key-of-the-user")
    monkeypatch.setenv("BATCHD_BATCHES__MAX_OPNE", "1")
    output = tmp_path / "out.txt"
    with together() as children:
        nowhere = "openai.base_url=http://127.0.0.1:9/v1"
        root = f"folders.root={tmp_path}"
        children.append(Child("run", "--set", root, "--set", nowhere, output=output))
        until(lambda: "daemon.ready" in children[0].output())

    assert "sk-real-key" not in output.read_text()


def until(is_so, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- the real thing


def demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "batchd", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_running(demo: int) -> list[str]:
    """The children of that demo; a zombie has no command line and is none."""
    mark = f"batchd.cli.demo_child\0{demo}\0"
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += [file.parent.name] if mark in file.read_text() else []
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


@needs_proc
@pytest.mark.processes
def test_the_demo_delivers_its_file_and_leaves_nothing_running(tmp_path):
    root = tmp_path / "demo"
    with demo("--root", str(root)) as running:
        said, _ = running.communicate(timeout=60)

    assert running.returncode == Exit.OK, said
    stages = re.findall(r"^ +[\d.]+ s  (\w+)", said, re.MULTILINE)
    assert list(dict.fromkeys(stages)) == list(STAGES)
    assert "The kettle sings in B flat." in said
    assert "All 24 requests were answered." in said
    assert "export OPENAI_API_KEY=…" in said
    (folder,) = (root / "outbox").iterdir()
    assert len((folder / "results.jsonl").read_text().splitlines()) == 24
    assert left_running(running.pid) == []


@needs_proc
@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_early_leaves_nothing_running(tmp_path, number):
    root = tmp_path / "demo"
    with demo("--root", str(root)) as running:
        until(lambda: (root / "var/log/batchd.jsonl").exists())
        assert len(left_running(running.pid)) == 2
        os.kill(running.pid, number)
        running.communicate(timeout=30)

    until(lambda: not left_running(running.pid))
    expected = -signal.SIGKILL if number == signal.SIGKILL else Exit.INTERRUPTED
    assert running.returncode == expected


def test_a_folder_with_something_in_it_is_no_place_for_a_demo(tmp_path):
    """Its files would be answered by the sandbox."""
    (tmp_path / "mine.jsonl").touch()
    with demo("--root", str(tmp_path)) as running:
        said, _ = running.communicate(timeout=30)

    assert running.returncode == Exit.USAGE
    assert "must be new or empty" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]
