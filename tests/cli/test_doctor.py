"""`batchd doctor`: each thing that can be wrong is found, and has a command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.control import machine
from batchd.control.trying import as_user, not_writable
from batchd.core.findings import Result
from batchd.spool.folders import Folders
from tests.acceptance.processes import Processes, processes_in
from tests.cli.places import Shell, shell_in

IS_ROOT = os.getuid() == 0


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    run = shell_in(tmp_path / "here", monkeypatch, capsys)
    run("init")
    monkeypatch.setenv("BATCHD_FOLDERS__MIN_FREE_BYTES", "1")
    Path("key").write_text("sk-0123456789abc")
    Path("key").chmod(0o600)
    monkeypatch.setenv("BATCHD_OPENAI__API_KEY_FILE", "key")
    return run


def found(said) -> dict[str, list[dict[str, str]]]:
    by_stage: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(said.out)["findings"]:
        by_stage.setdefault(finding["stage"], []).append(finding)
    return by_stage


def test_on_a_good_root_nothing_is_wrong_and_every_warning_has_a_way_out(shell):
    said = shell("doctor", "--offline", "--json")

    assert said.code == Exit.OK
    stages = found(said)
    assert {"python", "sqlite", "syntax", "values", "folders", "disk", "key", "files", "rights",
            "clock", "daemon"} <= stages.keys()  # fmt: skip
    for finding in [one for several in stages.values() for one in several]:
        assert finding["result"] != "wrong"
        assert (finding["fix"] is None) is (finding["result"] == "ok")
    assert not list(Path().rglob(".batchd-doctor*"))


def test_three_things_wrong_are_three_lines_each_with_its_command(shell):
    Path("inbox").chmod(0o770)
    Path("key").unlink()
    Path("var/batchd.db").write_bytes(b"not a database" * 100)

    said = shell("doctor", "--offline")

    assert said.code == Exit.FAILED
    assert f"chmod g+s {Path('inbox').absolute()}" in said.out
    assert "cannot be read (No such file or directory)" in said.out
    assert "batchd recover --dry-run --set folders.root=" in said.out


@pytest.fixture
def open_to_all():
    """A folder that another user can get to, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_root_tries_as_the_daemons_user(shell, open_to_all):
    shell("init", str(open_to_all))
    nobody = 65_534
    for place in ("var", "var/work"):
        os.chown(open_to_all / place, nobody, nobody)

    said = shell("doctor", "--offline", "--json", "--set", f"folders.root={open_to_all}")

    rights = found(said)["rights"]
    assert [one["result"] for one in rights] == ["wrong", "wrong"]
    assert rights[0]["fix"].startswith("chown nobody ")
    assert said.code == Exit.FAILED
    assert os.getuid() == 0  # it was a child that became somebody else


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_another_user_is_another_user(tmp_path):
    tmp_path.chmod(0o700)

    assert as_user(0, lambda: not_writable([tmp_path])) == []
    assert as_user(65_534, lambda: not_writable([tmp_path])) == [str(tmp_path)]


def test_a_limit_that_is_nearly_reached_is_told_with_its_sysctl(tmp_path):
    for name, most in (("max_user_instances", 1), ("max_user_watches", 10**9)):
        (tmp_path / name).write_text(f"{most}\n")
    process = tmp_path / "proc" / "7"
    (process / "fd").mkdir(parents=True)
    (process / "fdinfo").mkdir()
    (process / "fd" / "3").symlink_to("anon_inode:inotify")
    (process / "fdinfo" / "3").write_text("inotify wd:1 ino:2\ninotify wd:2 ino:3\n")

    instances, watches = machine.inotify(limits=tmp_path, proc=tmp_path / "proc")

    assert instances.result is Result.WARNING
    assert instances.fix == "sysctl fs.inotify.max_user_instances=128"
    assert (watches.result, watches.text) == (
        Result.OK,
        "2 of 1,000,000,000 watches are in use by this user",
    )


def test_no_inotify_at_all_is_no_fault(tmp_path):
    (told,) = machine.inotify(limits=tmp_path / "nothing")

    assert told.result is Result.WARNING


@pytest.mark.parametrize(
    ("kind", "results"),
    [("ext4", ["ok", "ok", "ok"]), ("overlay", ["warning", "ok", "ok"]), ("nfs4", ["warning", "ok", "wrong"])],
)  # fmt: skip
def test_where_the_folders_lie_is_judged(tmp_path, kind, results):
    table = tmp_path / "mountinfo"
    table.write_text(f"1 1 0:1 / / rw - {kind} x rw\n")

    told = list(machine.file_systems(Folders(tmp_path), table=table))

    assert [str(one.result) for one in told] == results
    assert all(kind in one.text for one in told)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_a_unit_that_may_do_anything_is_told(tmp_path):
    (tmp_path / "batchd.service").write_text("[Service]\nExecStart=/bin/true\n")

    (told,) = machine.unit(places=[tmp_path])

    assert told.result is Result.WARNING
    assert told.fix is not None
    assert told.fix.startswith("systemd-analyze security")


def test_without_a_unit_nothing_is_said_of_it(tmp_path):
    assert list(machine.unit(places=[tmp_path])) == []


def test_this_python_and_its_sqlite_are_named():
    python, sqlite = machine.versions()

    assert python.text == ".".join(map(str, sys.version_info[:3]))
    assert sqlite.result in (Result.OK, Result.WARNING)


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
def test_a_daemon_that_answers_and_one_that_does_not(processes: Processes, tmp_path):
    folders = Folders(tmp_path / "root")
    daemon = processes.daemon(folders.root, processes.sandbox())
    (told,) = machine.daemon(folders)
    assert told.result is Result.OK
    assert told.text.startswith(f"process {daemon.pid}, batchd ")

    folders.socket.unlink()
    (told,) = machine.daemon(folders)
    assert told.result is Result.WRONG
    assert str(folders.log) in str(told.fix)
