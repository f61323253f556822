"""What the daemon leaves for others to read: whole, seldom, and nothing when nothing waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.core.reasons import ReasonCode
from batchd.spool import bulletin
from batchd.spool.bulletin import (
    daemon_says,
    inbox_seen,
    name_in_json,
    post_daemon,
    post_inbox,
    post_watcher,
    reason_in,
)
from batchd.spool.inbox import Observed

ONE = Observed("a.jsonl", 10, 100.0, ReasonCode.SETTLING)


def post(var: Path, *observed: Observed, stopped: str | None = None) -> None:
    post_inbox(var, observed, to_wall=1000.0, stopped=stopped)


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_the_daemon_says_who_it_is_and_how_it_learns_of_files(tmp_path):
    post_daemon(tmp_path, started=5.0, version="1.2", watcher="inotify")
    post_watcher(tmp_path, "scan only: no watches left")

    said = daemon_says(tmp_path)

    assert said is not None
    assert (said.pid, said.started, said.version) == (os.getpid(), 5.0, "1.2")
    assert said.watcher == "scan only: no watches left"


def test_a_watcher_that_has_not_changed_writes_nothing(tmp_path):
    post_daemon(tmp_path, started=5.0, version="1.2", watcher="inotify")
    before = (tmp_path / "daemon.json").stat().st_ino

    post_watcher(tmp_path, "inotify")

    assert (tmp_path / "daemon.json").stat().st_ino == before


def test_a_watcher_without_a_daemon_says_nothing(tmp_path):
    post_watcher(tmp_path, "inotify")

    assert daemon_says(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"pid": "x"}'])
def test_what_is_not_ours_is_no_word(tmp_path, content):
    (tmp_path / "daemon.json").write_bytes(content)
    (tmp_path / "inbox.json").write_bytes(content)

    assert daemon_says(tmp_path) is None
    assert inbox_seen(tmp_path) is None


def test_a_waiting_file_is_told_with_its_reason_and_since_when(tmp_path):
    post(tmp_path, ONE, stopped="queue-full")

    seen, seconds_ago = inbox_seen(tmp_path)  # type: ignore[misc]
    assert seen.files["a.jsonl"] == bulletin.FileSeen(1100.0, 10, "settling")
    assert (seen.counts, seen.stopped, seen.pid) == ({"settling": 1}, "queue-full", os.getpid())
    assert seconds_ago < 60


def test_any_name_has_a_name_in_json_of_its_own():
    names = ["a b", "a%20b", os.fsdecode(b"a\xff"), "a\\xff", "ä", "a\n", "-r"]

    assert len({name_in_json(name) for name in names}) == len(names)


def test_where_nothing_waits_there_is_no_file(tmp_path):
    post(tmp_path)
    assert list(tmp_path.iterdir()) == []

    post(tmp_path, ONE)
    age(tmp_path / "inbox.json", 3)
    post(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_has_not_changed_is_not_written_but_was_looked_at(tmp_path):
    post(tmp_path, ONE)
    file = tmp_path / "inbox.json"
    age(file, 60)
    written = file.stat()

    post(tmp_path, ONE)

    assert file.stat().st_ino == written.st_ino
    assert file.stat().st_mtime > written.st_mtime + 50


def test_a_change_is_written_once_in_a_while_and_not_at_each_look(tmp_path):
    post(tmp_path, ONE)
    other = Observed("a.jsonl", 11, 105.0, ReasonCode.GROWING)

    post(tmp_path, other)
    assert inbox_seen(tmp_path)[0].counts == {"settling": 1}  # type: ignore[index]

    age(tmp_path / "inbox.json", 3)
    post(tmp_path, other)
    assert inbox_seen(tmp_path)[0].counts == {"growing": 1}  # type: ignore[index]


def test_between_two_writings_nobody_is_asked_how_the_files_are(tmp_path):
    post(tmp_path, ONE)

    def unasked() -> Iterator[Observed]:
        raise AssertionError("with a hundred thousand files this would cost more than taking them")
        yield ONE

    post_inbox(tmp_path, unasked(), to_wall=0.0, stopped=None)


def test_a_storm_is_counted_where_it_is_not_named(tmp_path, monkeypatch):
    monkeypatch.setattr(bulletin, "MOST_FILES", 3)

    post(tmp_path, *(Observed(f"{n}", 1, 0.0, ReasonCode.READY) for n in range(10)))

    seen = inbox_seen(tmp_path)[0]  # type: ignore[index]
    assert (len(seen.files), seen.counts) == (3, {"ready": 10})


def test_a_place_that_cannot_be_written_hinders_nobody(tmp_path):
    post(tmp_path / "not-there", ONE)


def test_a_code_of_another_version_is_no_code():
    assert reason_in("growing") is ReasonCode.GROWING
    assert reason_in("of-tomorrow") is None
