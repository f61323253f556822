"""What the shell sees: exit codes, one message per mistake, and a list of commands that is quick."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest

from batchd.cli import COMMANDS, batchd
from batchd.cli.exits import Exit, exit_of, invoke
from batchd.core import errors


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty folder with an empty environment: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("BATCHD_", "OPENAI_", "CREDENTIALS_")):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = invoke(batchd, arguments)
        return code, *capsys.readouterr()

    return run


def child(*arguments: str, program: Sequence[str] = ("-m", "batchd"), **options):
    return subprocess.run(
        [sys.executable, *program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


# --- messages and codes


def test_without_a_key_it_says_how_to_give_one_and_exits_78(shell):
    code, out, err = shell("run")

    assert (code, out) == (Exit.CONFIGURATION, "")
    assert err == (
        "batchd: there is no API key: export OPENAI_API_KEY=… or set openai.api_key_file; "
        "to try batchd without a key: batchd demo\n"
    )


def test_unknown_settings_are_named_together_with_what_was_meant_and_exit_78(shell, tmp_path):
    Path("mine.toml").write_text("[jobs]\nkeepdays = 3\n")

    code, _, err = shell("run", "--config", "mine.toml", "--set", "batches.max_opne=3")
    in_file, in_set = err.splitlines()

    assert code == Exit.CONFIGURATION
    assert in_file == (
        "batchd: mine.toml, line 2: there is no setting jobs.keepdays; did you mean jobs.keep_days?"
    )
    assert in_set.startswith("batchd: --set batches.max_opne: there is no setting")
    assert in_set.endswith("did you mean batches.max_open?")


def test_an_unknown_command_is_answered_with_the_one_that_was_meant(shell):
    code, out, err = shell("rnu")

    assert (code, out) == (Exit.USAGE, "")
    assert err == "batchd: there is no command rnu; did you mean run?\nsee batchd --help\n"


def test_a_command_like_no_other_is_answered_with_all_there_are(shell):
    code, _, err = shell("zzz")

    assert code == Exit.USAGE
    assert ", ".join(COMMANDS) in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--port", "1"], "batchd: No such option"),
        (["version", "x"], "batchd: Got unexpected extra argument"),
        (["run", "--config"], "batchd: Option '--config' requires an argument"),
        (["--verison"], "batchd: No such option"),
    ],
)
def test_a_wrong_command_line_is_one_message_and_exits_2(shell, arguments, said):
    code, out, err = shell(*arguments)

    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith(said)


def test_without_a_command_the_help_is_shown_and_exits_2(shell):
    code, _, err = shell()

    assert code == Exit.USAGE
    assert err.startswith("Usage: batchd")


def test_a_key_in_the_wrong_place_is_not_repeated(shell):
    _, _, err = shell("run", "--set", "openai.base_url=sk-12345678abc")

    assert "12345678" not in err
    assert "[hidden]" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), Exit.CONFIGURATION),
        (errors.AlreadyRunning("x"), Exit.TRY_AGAIN),
        (errors.RemoteDenied("x"), Exit.PERMISSION),
        (errors.RemoteUnavailable("x", may_have_happened=False), Exit.TRY_AGAIN),
        (errors.RemoteRefused("x"), Exit.FAILED),
        (errors.BrokenInvariant("x"), Exit.INTERNAL),
        (errors.InputError("x"), Exit.FAILED),
        (PermissionError("x"), Exit.PERMISSION),
        (FileNotFoundError("x"), Exit.IO),
        (OSError("x"), Exit.IO),
    ],
)
def test_each_error_has_its_code_and_no_traceback(capsys, error, code):
    @click.command()
    def fails() -> None:
        raise error

    assert exit_of(error) == code
    assert invoke(fails, []) == code
    assert capsys.readouterr().err == "batchd: x\n"


def test_an_error_of_the_disk_names_its_file(capsys):
    @click.command()
    def fails() -> None:
        Path("/nonexistent/x").read_text()

    assert invoke(fails, []) == Exit.IO
    assert capsys.readouterr().err == "batchd: /nonexistent/x: No such file or directory\n"


def test_ctrl_c_exits_130(capsys):
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert invoke(interrupted, []) == Exit.INTERRUPTED
    assert capsys.readouterr().err.strip() == "batchd: interrupted"


def test_a_commands_result_is_the_exit_code(capsys):
    @click.command()
    def partly() -> int:
        return Exit.PARTLY

    assert invoke(partly, []) == Exit.PARTLY


# --- the list of commands


@pytest.mark.parametrize("name", COMMANDS)
def test_each_sentence_in_the_list_is_the_commands_own(name):
    command = batchd.get_command(click.Context(batchd), name)

    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name].sentence


def test_version_says_which_versions_are_at_work(shell):
    code, out, err = shell("version")
    named = dict(line.split() for line in out.splitlines())

    assert (code, err) == (Exit.OK, "")
    assert named.keys() == {"batchd", "python", "openai", "sqlite"}
    assert json.loads(shell("version", "--json")[1]) == {"schema": 1, **named}
    assert shell("--version")[1] == f"batchd {named['batchd']}\n"


# --- the process itself

LOADED = (
    "import sys\n"
    "from batchd.cli import main\n"
    "sys.argv = ['batchd', '--help']\n"
    "try: main()\n"
    "finally: print(*sorted(sys.modules), file=sys.stderr)\n"
)


def test_help_loads_nothing_heavy():
    done = child(program=("-c", LOADED))

    assert done.returncode == Exit.OK
    heavy = {"openai", "httpx2", "starlette", "uvicorn", "anyio", "asyncio", "structlog", "rich"}
    assert not heavy & set(done.stderr.split())


def test_the_module_is_the_program():
    done = child("version")

    assert done.returncode == Exit.OK
    assert done.stdout.startswith("batchd ")


def test_a_mistake_of_ours_is_loud_and_exits_70():
    mistake = (
        "import sys\n"
        "from batchd import cli\n"
        "def fails(*_):\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError as e: raise ExceptionGroup('', [ExceptionGroup('', [e])])\n"
        "cli.invoke = fails\n"
        "sys.argv = ['batchd']\n"
        "cli.main()\n"
    )
    done = child(program=("-c", mistake))

    assert done.returncode == Exit.INTERNAL
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("batchd: internal error (ZeroDivisionError)")


def test_a_reader_who_goes_away_is_no_mistake_of_ours():
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m batchd version | true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Traceback" not in done.stderr
