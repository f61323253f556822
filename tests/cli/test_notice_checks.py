"""Who is to be told can be: that is found out before there is something to tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.configuration.notice_checks import notices
from tests.cli.places import shell_in
from tests.houses import settings

PROBLEM = "notify.on_problem"


def found(root: Path, **notify) -> list[tuple[str, str, str]]:
    given = settings(root, notify=notify)
    return [(one.result.value, one.text, one.fix or "") for one in notices(given, root=root)]


def script(root: Path, mode: int) -> str:
    file = root / "tell me"
    file.write_text("#!/bin/sh\n")
    file.chmod(mode)
    return str(file)


def test_where_nobody_is_to_be_told_nothing_is_said(tmp_path):
    assert found(tmp_path) == []


def test_commands_that_can_be_run_and_addresses_are_well(tmp_path):
    assert found(tmp_path, on_complete=["true"], on_problem=["https://example.com/hook"]) == [
        ("ok", "notify.on_complete, notify.on_problem: each can be run or posted", "")
    ]
    assert found(tmp_path, on_problem=[script(tmp_path, 0o755)])[0][0] == "ok"


def test_one_without_the_right_to_run_is_told_with_the_command_that_gives_it(tmp_path):
    file = script(tmp_path, 0o644)

    assert found(tmp_path, on_problem=[file, "now"]) == [
        (
            "warning",
            f"{PROBLEM}: {file} may not be executed, so that nobody is told",
            f"chmod a+rx '{file}'",
        )
    ]


@pytest.mark.parametrize("command", ["/nowhere/notify", "there-is-no-such-program", "bin/notify"])
def test_one_that_is_not_there_is_told(tmp_path, command):
    ((result, text, _),) = found(tmp_path, on_problem=[command])

    assert result == "warning"
    assert text.startswith(f"{PROBLEM}: there is no ")


def test_a_path_with_a_slash_is_found_from_the_root_as_the_daemon_does(tmp_path):
    script(tmp_path, 0o755)

    assert found(tmp_path, on_problem=["./tell me"])[0][0] == "ok"


def test_a_secret_that_is_not_there_keeps_the_daemon_from_starting_and_is_wrong(
    tmp_path, monkeypatch, capsys
):
    shell = shell_in(tmp_path / "here", monkeypatch, capsys)
    shell("init")
    secret = "notify.webhook_secret_file=/nowhere/secret"

    said = shell("config", "check", "--offline", "--json", "--set", secret)

    (notice,) = (one for one in json.loads(said.out)["findings"] if one["stage"] == "notices")
    assert said.code == Exit.CONFIGURATION
    assert (notice["result"], notice["text"]) == (
        "wrong",
        "notify.webhook_secret_file (/nowhere/secret) cannot be read: No such file or directory",
    )


def test_the_doorbells_secret_is_looked_at_where_it_listens(tmp_path):
    nowhere = {"secret_file": Path("/nowhere/secret")}
    off = settings(tmp_path, webhooks=nowhere)
    on = settings(tmp_path, webhooks={**nowhere, "listen": "127.0.0.1:0"})

    assert list(notices(off, root=tmp_path)) == []
    (one,) = notices(on, root=tmp_path)
    assert one.text.startswith("webhooks.secret_file (/nowhere/secret) cannot be read")
