"""`batchd completion`: the scripts, and what a shell is told when it asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from batchd.cli import COMMANDS
from batchd.cli.exits import Exit
from tests.cli.places import shell_in


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell, tmp_path, monkeypatch, capsys):
    said = shell_in(tmp_path, monkeypatch, capsys)("completion", shell)

    assert said.code == Exit.OK
    assert f"_BATCHD_COMPLETE={shell}_complete" in said.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_can_read_it(tmp_path, monkeypatch, capsys):
    script = shell_in(tmp_path, monkeypatch, capsys)("completion", "bash").out

    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_that_asks_is_told_the_commands():
    asked = {"_BATCHD_COMPLETE": "bash_complete", "COMP_WORDS": "batchd st", "COMP_CWORD": "1"}
    program = "import sys; from batchd.cli import main; sys.argv = ['batchd']; main()"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ) | asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.splitlines() == [f"plain,{n}" for n in COMMANDS if n.startswith("st")]
