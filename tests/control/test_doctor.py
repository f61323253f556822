"""What the one who asks can look at, and nobody else: whether they may drop files, and which versions."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from batchd import __version__
from batchd.control import machine
from batchd.control.doctor import by_asker, same_version, you
from batchd.core.findings import ok
from batchd.spool.bulletin import post_daemon
from batchd.spool.folders import Folders
from tests.control.test_serving import as_user, needs_root
from tests.nobody import NOBODY


@pytest.fixture
def folders():
    """A root that another user can get to, as pytest's own are not."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Folders(Path(folder))
        made.prepare()
        yield made


def test_whoever_may_drop_files_is_told_so(folders: Folders):
    (told,) = you(folders)

    assert (told.stage, told.result, told.fix) == ("you", "ok", None)


@needs_root
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_whoever_may_not_is_told_of_the_group(folders: Folders):
    def asked() -> str:
        (told,) = you(folders)
        return f"{told.result}: {told.text}: {told.fix}"

    os.chown(folders.inbox, -1, NOBODY)
    folders.inbox.chmod(0o770)
    os.chown(folders.staging, -1, NOBODY)

    said = as_user(12_345, asked=asked)

    assert said.startswith(
        f"wrong: user 12345 may not drop files into {folders.inbox}: usermod -aG "
    )
    assert as_user(12_345, NOBODY, asked=asked).startswith("ok: ")


@pytest.mark.skipif(not machine.sees_limits(), reason="this system has no inotify")
def test_what_the_daemon_cannot_see_is_looked_at_for_its_user(folders: Folders):
    """Under systemd /proc has nothing but processes for it (ProcSubset=pid)."""
    seen = [ok("inotify", "enough")]

    assert "inotify" not in {told.stage for told in by_asker(folders, seen)}
    assert [told.stage for told in by_asker(folders)].count("inotify") == 2


@needs_root
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_of_what_cannot_be_seen_nothing_is_said(folders: Folders):
    assert list(you(Folders(folders.root / "elsewhere"))) == []
    folders.root.chmod(0o700)
    assert as_user(12_345, asked=lambda: list(you(folders))) == "[]"


def test_another_version_is_told_and_the_same_is_not(folders: Folders):
    with folders.locked():
        for version, results in ((__version__, []), ("0.0.9", ["warning"])):
            post_daemon(folders.var, started=0.0, version=version, watcher="inotify")
            assert [told.result for told in same_version(folders)] == results
    assert list(same_version(folders)) == [], "where none runs there is none to compare with"
