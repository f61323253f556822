"""Where everything lies, and who is kept out."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from batchd.core.errors import AlreadyRunning, ConfigError
from batchd.spool.folders import Folders

HOLDING = """
import sys
from pathlib import Path
from batchd.spool.folders import Folders
with Folders(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_everything_is_made_below_the_root_and_no_probe_is_left(tmp_path):
    folders = Folders(tmp_path / "new" / "root")
    for _ in range(2):
        folders.prepare()
    found = sorted(str(path.relative_to(folders.root)) for path in folders.root.rglob("*"))
    assert found == ["inbox", "inbox/.tmp", "outbox", "var", "var/work"]


def modes(folders: Folders) -> dict[str, int]:
    made = (folders.inbox, folders.staging, folders.outbox, folders.var, folders.work)
    return {str(path.relative_to(folders.root)): stat.S_IMODE(path.stat().st_mode) for path in made}


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000])
def test_the_group_drops_and_reads_and_strangers_do_neither(tmp_path, umask):
    """R60: whatever the umask of whoever starts it."""
    before = os.umask(umask)
    try:
        Folders(tmp_path / "root").prepare()
    finally:
        os.umask(before)
    assert modes(Folders(tmp_path / "root")) == {
        "inbox": 0o2770,
        "inbox/.tmp": 0o2770,
        "outbox": 0o2750,
        "var": 0o2750,
        "var/work": 0o2750,
    }


def test_folders_stay_as_their_operator_made_them(tmp_path):
    folders = Folders(tmp_path)
    folders.work.mkdir(parents=True)
    folders.staging.mkdir(parents=True)
    folders.outbox.mkdir()
    for folder in (folders.inbox, folders.staging, folders.outbox, folders.var, folders.work):
        folder.chmod(0o1777)
    folders.prepare()
    assert set(modes(folders).values()) == {0o1777}


def test_folders_that_can_not_be_made_are_the_operators(tmp_path):
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(ConfigError, match="outbox"):
        Folders(tmp_path).prepare()


def test_a_second_daemon_is_kept_out_and_told_by_whom(tmp_path):
    folders = Folders(tmp_path)
    with folders.locked():
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            folders.locked().__enter__()
        assert folders.lock.read_text().strip() == str(os.getpid())
    with folders.locked():
        pass


def test_the_lock_goes_with_its_holder_however_that_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning, match=f"process {holder.pid}"):
            Folders(tmp_path).locked().__enter__()
        holder.kill()
    with Folders(tmp_path).locked():
        pass


def test_where_folders_are_not_to_be_made_each_missing_one_is_named(tmp_path):
    folders = Folders(tmp_path)
    folders.prepare()
    folders.must_be_there()
    folders.staging.rmdir()
    folders.inbox.rmdir()

    with pytest.raises(ConfigError, match=r"missing: .*inbox\. Is the disk mounted\?"):
        folders.must_be_there()


def test_a_daemon_that_may_not_make_its_folders_leaves_none_behind(tmp_path):
    options = ["--set", f"folders.root={tmp_path}", "--set", "folders.create=false"]
    ran = subprocess.run(
        [sys.executable, "-m", "batchd", "run", *options],
        env={**os.environ, "OPENAI_API_KEY": "sk-any"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 78, ran.stderr
    assert "Is the disk mounted?" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["var"], "its log says so, too"
