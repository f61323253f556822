"""Commands about tasks and the house, beside a real daemon: it is asked, and what it says is shown."""

from __future__ import annotations

import json
import socket
import tarfile
import time
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.spool.folders import Folders
from tests.acceptance.processes import KEY, processes_in
from tests.cli.places import Shell, shell_in
from tests.control.test_client import NOT_FOUND, said, somebody

TASK = 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n'

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A root, its daemon with a task, and a sandbox that it asks with a key of its own."""
    folder = tmp_path_factory.mktemp("served")
    root = folder / "root"
    with processes_in(folder) as processes:
        processes.daemon(root, processes.sandbox())
        (folder / "tasks").mkdir()
        (folder / "tasks" / "mood.toml").write_text(TASK)
        yield root


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys, served) -> Shell:
    """Somebody without a key, and without the daemon's configuration."""
    run = shell_in(tmp_path / "here", monkeypatch, capsys, root=served)
    Path("a.csv").write_text("id,text\n1,one\n2,two\n")
    return run


def test_who_has_no_key_can_try_a_task_and_it_is_spent(shell):
    told = shell("task", "try", "mood", "a.csv")
    as_json = json.loads(shell("task", "try", "mood", "a.csv", "--rows", "1", "--json").out)
    spent = json.loads(shell("spend", "--by", "task", "--json").out)

    assert told.code == Exit.OK, told.err
    assert told.out.splitlines()[0] == "row 1"
    assert told.out.splitlines()[-1].startswith("2 of 2 rows answered; ")
    assert (as_json["source"], len(as_json["rows"])) == ("the daemon", 1)
    (line,) = spent["lines"]
    assert (line["key"], line["requests"]) == ("mood", 3)
    assert line["cost"] > 0


def test_a_large_table_is_tried_by_its_beginning(shell):
    with Path("large.csv").open("w") as file:
        file.write("text\n")
        file.writelines(f'"text {number}\nof two lines"\n' for number in range(700_000))

    told = shell("task", "try", "mood", "large.csv", "--rows", "1")

    assert told.code == Exit.OK, told.err
    assert "text 0 of two lines" in told.out


def test_a_draft_lies_where_the_daemon_looks_and_counts_at_once(shell, served):
    made = shell("task", "new", "fresh", "--from", "a.csv")
    again = shell("task", "new", "fresh", "--from", "a.csv")

    file = served.parent / "tasks" / "fresh.toml"
    assert made.out.splitlines()[0] == f"made   {file}"
    assert again.code == Exit.REFUSED
    assert "fresh" in shell("task", "list").out
    assert shell("task", "check", "fresh", "a.csv").code == Exit.OK
    assert shell("task", "new", "x", "--from", "a.csv", "--print").out == file.read_text().replace(
        "fresh", "x"
    )
    assert not (served.parent / "tasks" / "x.toml").exists()


def test_a_task_of_ones_own_is_none_of_the_daemons(shell):
    own_task("mine")

    told = shell("task", "check", "mine", "a.csv")

    assert told.code == Exit.NOT_FOUND
    assert "config/tasks is not where the daemon looks" in told.err


def test_a_file_is_held_against_the_daemons_settings_unless_others_are_named(shell, monkeypatch):
    monkeypatch.setenv("BATCHD_BATCHES__MAX_REQUESTS", "1")  # whoever asks has set it for nobody

    def batches(*more: str) -> int:
        said = json.loads(shell("task", "check", "mood", "a.csv", "--json", *more).out)
        return int(said["files"][0]["batches"])

    assert batches() == 1
    assert batches("--set", "batches.max_requests=1") == 2


def test_the_settings_are_the_daemons_unless_others_are_named(shell):
    running = json.loads(shell("config", "show", "--json").out)
    own = json.loads(shell("config", "show", "--json", "--set", "batches.max_open=7").out)
    both = shell("config", "show", "--json", "--set", "batches.max_open=7", "--running")

    def of(told: dict) -> object:
        return {one["name"]: one["value"] for one in told["settings"]}["batches.max_open"]

    assert (running["source"], running["key_from"]) == ("the daemon", "OPENAI_API_KEY")
    assert (own["source"], own["key_from"], of(own)) == ("this command", None, 7)
    assert json.loads(both.out) == running
    assert KEY not in str(running)


def test_the_configuration_is_tried_by_the_daemon_unless_another_is_named(shell):
    told = shell("config", "check")
    named = shell("config", "check", "--set", "batches.max_open=7", "--offline")
    running = shell("config", "check", "--set", "batches.max_open=7", "--offline", "--running")

    assert told.code == Exit.OK, "the key is the daemon's, and its sandbox takes it"
    assert told.out.splitlines()[0] == "the daemon finds:"
    assert " lists batches" in told.out
    assert named.code == Exit.CONFIGURATION, "there is no key here"
    assert "the daemon finds:" not in named.out
    assert running.out.splitlines()[0] == "the daemon finds:"


def test_the_doctor_shows_what_both_find(shell):
    found = json.loads(shell("doctor", "--offline", "--json").out)["findings"]

    by = {one["stage"]: one["by"] for one in found}
    assert {by[stage] for stage in ("values", "key", "rights", "folders", "clock")} == {
        "the daemon"
    }
    assert {by[stage] for stage in ("you", "daemon")} == {"this command"}
    assert [one for one in found if one["result"] == "wrong"] == []


def test_a_report_is_the_daemons_and_so_is_its_marker(shell, served):
    told = shell("bugreport", "--output", "report.tar.gz")

    marker = told.out.split()[0]
    with tarfile.open("report.tar.gz") as archive:
        made = archive.extractfile(f"{marker}/report.json")
        assert made is not None
        assert json.loads(made.read())["source"] == "the daemon"
        assert len(archive.getnames()) == 5
    assert marker in (served / "var" / "log" / "batchd.jsonl").read_text()


def beside_a_root(tmp_path, monkeypatch, capsys) -> tuple[Shell, Folders]:
    """Somebody in a folder of their own, and a root that is another's."""
    folders = Folders(tmp_path / "root")
    folders.prepare()
    shell = shell_in(tmp_path / "here", monkeypatch, capsys, root=folders.root)
    return shell, folders


def own_task(name: str) -> None:
    path = Path(f"config/tasks/{name}.toml")
    path.parent.mkdir(parents=True)
    path.write_text(TASK)


def test_one_that_hangs_is_not_waited_for(tmp_path, monkeypatch, capsys):
    """It has a lock and a socket, and never a word."""
    shell, folders = beside_a_root(tmp_path, monkeypatch, capsys)
    own_task("mood")
    Path("a.csv").write_text("text\none\n")

    with folders.locked(), socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folders.socket))
        deaf.listen()
        began = time.monotonic()
        looked = shell("config", "check", "--offline")
        tried = shell("task", "try", "mood", "a.csv")
        took = time.monotonic() - began

    assert "the daemon does not answer; this command has looked by itself" in looked.err
    assert looked.out.startswith("ok ")
    assert (tried.code, tried.out) == (Exit.TRY_AGAIN, ""), "nothing is asked with another key"
    assert took < 30.0


@pytest.mark.parametrize(
    ("answered", "says"),
    [
        (b"", "the daemon went away before the end"),
        (b'{"row":{"row":1,"id":"1","ok":true,"values":{"answer":"x"},"error":null,"raw":null}}\n',
         "what was answered is paid"),
    ],
)  # fmt: skip
def test_a_trial_that_breaks_off_is_not_asked_again_by_another_way(
    tmp_path, monkeypatch, capsys, answered, says
):
    """It would be paid twice."""
    shell, folders = beside_a_root(tmp_path, monkeypatch, capsys)
    Path("a.csv").write_text("text\none\n")
    task = {"name": "mood", "model": "m", "prompt": "{{ text }}"}
    found = said("200 OK", {"name": "mood", "folder": "/", "task": task})
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + answered

    with folders.locked(), somebody(folders, found, said("200 OK", {}), broken):
        told = shell("task", "try", "mood", "a.csv")

    assert (told.code, says in told.err) == (Exit.TRY_AGAIN, True)
    assert "your own key" not in told.err


def test_beside_a_daemon_that_is_older_a_command_does_it_by_itself(tmp_path, monkeypatch, capsys):
    """It has a lock and a socket, and has never heard of tasks."""
    shell, folders = beside_a_root(tmp_path, monkeypatch, capsys)
    own_task("mine")
    described = said("200 OK", {"paths": {"/v1/status": {"get": {}}}})

    with folders.locked(), somebody(folders, NOT_FOUND, described):
        told = shell("task", "list")

    assert told.code == Exit.OK
    assert told.out.startswith("mine ")
    assert "the daemon is older than this command" in told.err
    assert "this command has looked by itself" in told.err
