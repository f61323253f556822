"""Whether a daemon is there: by its lock, and never by what an earlier one left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchd.control.presence import presence
from batchd.core.errors import AlreadyRunning
from batchd.core.reasons import ReasonCode
from batchd.spool.bulletin import post_daemon, post_inbox
from batchd.spool.folders import Folders
from batchd.spool.inbox import Observed


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def leave_word(folders: Folders) -> None:
    post_daemon(folders.var, started=5.0, version="1.2", watcher="inotify")
    seen = Observed("a.jsonl", 1, 0.0, ReasonCode.READY)
    post_inbox(folders.var, [seen], to_wall=0.0, stopped=None)


def test_where_none_ever_ran_none_is_there_and_nothing_is_made(folders: Folders):
    assert not presence(folders).is_running
    assert list(folders.root.iterdir()) == []


def test_one_that_runs_is_known_by_its_lock_and_what_it_says(folders: Folders):
    with folders.locked():
        leave_word(folders)
        found = presence(folders)

    assert (found.is_running, found.pid, found.since) == (True, os.getpid(), 5.0)
    assert (found.version, found.watcher) == ("1.2", "inotify")
    assert found.inbox is not None
    assert found.looked_ago is not None
    assert found.looked_ago < 60


def test_one_that_says_nothing_is_there_all_the_same(folders: Folders):
    with folders.locked():
        found = presence(folders)

        assert (found.is_running, found.version, found.watcher) == (True, "unknown", "unknown")
        assert found.since == pytest.approx(folders.lock.stat().st_mtime)
        assert found.inbox is None


def test_what_another_process_left_is_not_believed(folders: Folders):
    with folders.locked():
        leave_word(folders)
        folders.lock.write_text("4194305\n")
        found = presence(folders)

    assert (found.pid, found.version, found.inbox) == (4194305, "unknown", None)


def test_one_that_is_gone_left_its_lock_file_and_holds_nothing(folders: Folders):
    with folders.locked():
        leave_word(folders)

    assert not presence(folders).is_running


def test_looking_hinders_neither_the_one_that_runs_nor_the_next(folders: Folders):
    with folders.locked():
        presence(folders)
        with pytest.raises(AlreadyRunning), folders.locked():
            pass
    presence(folders)
    with folders.locked():
        pass
