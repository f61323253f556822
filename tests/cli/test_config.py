"""`batchd config check` and `show`: every stage fails by itself, and no secret is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.configuration.values import TYPES
from tests.acceptance.processes import Processes, processes_in
from tests.cli.places import Shell, shell_in
from tests.houses import write_task

KEY = "sk-planted-0123456789"


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    run = shell_in(tmp_path / "here", monkeypatch, capsys)
    run("init")
    monkeypatch.setenv("BATCHD_FOLDERS__MIN_FREE_BYTES", "1")
    return run


def stages(said) -> dict[str, str]:
    return {found["stage"]: found["result"] for found in json.loads(said.out)["findings"]}


def key_file(mode: int) -> str:
    Path("key").write_text(KEY)
    Path("key").chmod(mode)
    return "openai.api_key_file=key"


def test_all_is_well_offline_and_nothing_is_left_of_the_probe(shell):
    said = shell("config", "check", "--offline", "--set", key_file(0o600))

    assert said.code == Exit.OK
    assert [line.split()[0] for line in said.out.splitlines()] == ["ok"] * 6
    assert not list(Path().rglob(".batchd-check*"))
    assert KEY not in said.out


@pytest.mark.parametrize(
    ("content", "stage", "text"),
    [
        ("[batches\n", "syntax", "line 1, column 9: not valid TOML"),
        ("[batches]\nmax_opne = 1\n", "values", "line 2: there is no setting batches.max_opne"),
        ("[batches]\nmax_open = 0\n", "values", "line 2: batches.max_open must be"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_line_and_nothing_is_built_on_it(
    shell, content, stage, text
):
    Path("config/batchd.toml").write_text(content)

    said = shell("config", "check", "--json")

    assert said.code == Exit.CONFIGURATION
    last = json.loads(said.out)["findings"][-1]
    assert (last["stage"], last["result"]) == (stage, "wrong")
    assert text in last["text"]


def test_each_mistake_in_a_task_is_told_and_keeps_nobody_from_starting(shell):
    """The daemon runs, and that task's files wait."""
    fine = shell("config", "check", "--offline", "--set", key_file(0o600))
    write_task(Path(), "embed", 'model = "m"\nprmpt = "{{ text }}"\n')
    broken = shell("config", "check", "--offline", "--json", "--set", key_file(0o600))

    assert "12 in " in fine.out
    assert "each of them can be used" in fine.out
    assert broken.code == Exit.OK
    told = [one for one in json.loads(broken.out)["findings"] if one["stage"] == "tasks"]
    assert {one["result"] for one in told} == {"warning"}
    assert any("embed.toml, line 2: " in one["text"] and "prmpt" in one["text"] for one in told)
    assert all(one["fix"] for one in told)


def test_missing_folders_are_answered_with_init(shell):
    said = shell("config", "check", "--offline", "--json", "--set", "folders.root=elsewhere")

    assert said.code == Exit.CONFIGURATION
    wrong = [f for f in json.loads(said.out)["findings"] if f["stage"] == "folders"]
    assert wrong[0]["fix"] == f"batchd init {Path('elsewhere').absolute()}"


def test_a_folder_in_which_nothing_can_be_made_is_told_with_its_command(shell):
    (Path("outbox") / "README.txt").unlink()
    Path("outbox").rmdir()
    Path("outbox").symlink_to("/proc/self/fdinfo")  # not even root can write there

    said = shell("config", "check", "--offline", "--json")

    assert said.code == Exit.CONFIGURATION
    assert stages(said)["folders"] == "wrong"
    assert "chown -R" in said.out
    assert not list(Path().rglob(".batchd-check*"))


def test_a_full_disk_is_wrong(shell):
    most = 9_000_000_000_000_000
    said = shell("config", "check", "--offline", "--json", "--set",
                 f"folders.min_free_bytes={most}")  # fmt: skip

    assert stages(said)["disk"] == "wrong"


def test_no_key_is_wrong_and_a_key_that_others_may_read_is_a_warning(shell, monkeypatch):
    for given in ([], ["--set", "openai.api_key_file=not-there"]):
        said = shell("config", "check", "--offline", "--json", *given)
        (finding,) = (one for one in json.loads(said.out)["findings"] if one["stage"] == "key")
        assert finding["result"] == "wrong"
        assert finding["fix"].startswith("export OPENAI_API_KEY=")
        assert "export" not in finding["text"]

    open_to_all = shell("config", "check", "--offline", "--set", key_file(0o644))
    assert open_to_all.code == Exit.OK
    assert "chmod o= " in open_to_all.out
    denied = shell("config", "check", "--offline", "--deny-warnings", "--set", key_file(0o644))
    assert denied.code == Exit.CONFIGURATION

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    from_environment = shell("config", "check", "--offline")
    assert "warn  key" in from_environment.out
    assert KEY not in from_environment.out


@pytest.fixture
def processes(tmp_path):
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
def test_the_provider_is_really_asked(processes: Processes, shell, monkeypatch):
    sandbox = processes.sandbox()
    monkeypatch.setenv("OPENAI_BASE_URL", sandbox.base_url)
    asked = ("config", "check", "--json", "--set", key_file(0o600))

    assert stages(shell(*asked))["api"] == "ok"

    sandbox.faults(http=[{"route": "GET *", "status": 401}])
    said = shell(*asked)
    assert (stages(said)["api"], said.code) == ("wrong", Exit.CONFIGURATION)
    assert "does not take the key" in said.out

    sandbox.kill()
    assert "did not list batches" in shell(*asked).out
    assert "api" not in stages(shell(*asked, "--offline"))


def test_every_setting_is_shown_with_where_it_comes_from(shell, monkeypatch):
    monkeypatch.setenv("BATCHD_BATCHES__MAX_OPEN", "7")
    said = shell("config", "show", "--json", "--set", "inbox.settle_seconds=9")
    told = {one["name"]: one for one in json.loads(said.out)["settings"]}

    assert told.keys() == TYPES.keys()
    assert told["batches.max_open"] == {
        "name": "batches.max_open",
        "value": 7,
        "origin": "BATCHD_BATCHES__MAX_OPEN",
    }
    assert told["inbox.settle_seconds"]["origin"] == "--set inbox.settle_seconds"
    assert told["retries.max_attempts"]["origin"].startswith("config/batchd.toml, line ")
    assert "batches.max_open = 7" in shell("config", "show").out


def test_no_secret_is_shown(shell, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv(
        "BATCHD_OPENAI__BASE_URL", "https://me:hunter22@proxy.example/v1?sig=hunter33"
    )

    for said in (shell("config", "show"), shell("config", "show", "--json")):
        assert KEY not in said.out
        assert "hunter" not in said.out
        assert "https://proxy.example/v1" in said.out
        assert os.environ["OPENAI_API_KEY"] == KEY
