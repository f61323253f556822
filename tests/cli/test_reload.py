"""`batchd reload` against real daemons: what changes, what is refused, and who may ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from tests.acceptance.processes import Daemon, Processes, processes_in
from tests.fakes.manager import ServiceManager
from tests.houses import drop, requests
from tests.nobody import NOBODY

pytestmark = pytest.mark.processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The file that the daemons of `processes` read."""
    return tmp_path / "empty.toml"


def ask(config: Path, root: Path, *more: str) -> tuple[int, str, str]:
    """Ask as a process of its own; code, stdout, stderr."""
    command = [sys.executable, "-m", "batchd", "reload", "--config", str(config)]
    command += ["--set", f"folders.root={root}", *more]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return run.returncode, run.stdout, run.stderr


def test_new_settings_hold_at_once_and_what_needs_a_restart_is_named(processes, config, tmp_path):
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=0.2)
    with ServiceManager.at(tmp_path) as manager:
        daemon = processes.daemon(root, sandbox, environment=manager.environment)
        config.write_text('[inbox]\nignore = ["keep-*"]\n[openai]\npurpose = "batch-api"\n')
        assert ask(config, root) == (
            Exit.OK,
            "changed: inbox.ignore\nneeds a restart: openai.purpose\n",
            "",
        )
        drop(root, "keep-this.jsonl", requests(1))
        drop(root, "take-this.jsonl", requests(1))
        processes.wait(lambda: list((root / "outbox").glob("take-this--*")), what="a result")
        assert (root / "inbox" / "keep-this.jsonl").exists()

        (event,) = daemon.events("config.reloaded")
        assert (event["changed"], event["needs_restart"]) == (["inbox.ignore"], ["openai.purpose"])
        assert daemon.stop() == 0
    names = [name for heard in manager.heard for name in heard.fields]
    assert names.index("RELOADING") < names.index("READY", names.index("RELOADING"))


def test_a_broken_configuration_is_refused_with_its_line_and_the_old_one_goes_on(
    processes, config, tmp_path
):
    """F82. Whoever asks is told the same as the log, whether the file is read here or there."""
    root, sandbox = tmp_path / "root", processes.sandbox(batch_seconds=0.2)
    with ServiceManager.at(tmp_path) as manager:
        daemon = processes.daemon(root, sandbox, environment=manager.environment)
        config.write_text('[batches]\n\nmax_open = "many"\n')
        problem = "empty.toml, line 3: batches.max_open must be a whole number of at least 1"

        code, out, err = ask(config, root)
        assert (code, out) == (Exit.CONFIGURATION, "")
        assert problem in err

        sound = tmp_path / "sound.toml"  # of whoever asks: the daemon's own is another
        sound.touch()
        code, out, err = ask(sound, root)
        assert (code, out) == (Exit.CONFIGURATION, "")
        assert problem in err
        assert "nothing was changed" in err

        (event,) = daemon.events("config.kept")
        assert problem in event["text"]
        assert event["level"] == "warning"
        drop(root, "a.jsonl", requests(1))
        processes.wait(lambda: list((root / "outbox").glob("a--*")), what="a result")
        assert daemon.stop() == 0
    assert manager.said("READY", pid=daemon.pid) == ["1", "1"]


def test_a_secret_that_is_missing_is_refused_before_anybody_needs_it(processes, config, tmp_path):
    root, secret = tmp_path / "root", tmp_path / "secret"
    processes.daemon(root, processes.sandbox())
    config.write_text(f'[notify]\nwebhook_secret_file = "{secret}"\n')
    code, _, err = ask(config, root)
    assert code == Exit.CONFIGURATION
    assert str(secret) in err
    secret.write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n")
    assert ask(config, root)[:2] == (Exit.OK, "changed: notify.webhook_secret_file\n")


def test_the_log_level_changes_while_it_runs(processes, config, tmp_path):
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    config.write_text('[logging]\nlevel = "warning"\n')
    assert ask(config, root)[0] == Exit.OK
    heard = len(list(daemon._events()))
    config.write_text("")
    assert ask(config, root)[1] == "changed: logging.level\n"
    assert len(list(daemon._events())) == heard + 1, "the second one is told, the first was not"


def test_what_the_daemon_runs_with_is_told_before_and_after(processes, config, tmp_path):
    """With the line of the file that was read; what waits for a restart is as it was."""
    root = tmp_path / "root"
    processes.daemon(root, processes.sandbox())
    processes.wait((root / "var" / "batchd.sock").exists, what="a socket")
    config.write_text("[inbox]\nmax_claimed = 3\n")
    assert running(config, root, "inbox.max_claimed") == (1000, "the default")
    ask(config, root)
    assert running(config, root, "inbox.max_claimed") == (3, f"{config.name}, line 2")


def running(config: Path, root: Path, name: str) -> tuple[object, str]:
    command = [sys.executable, "-m", "batchd", "config", "show", "--running", "--json"]
    where = ["--config", str(config), "--set", f"folders.root={root}"]
    said = subprocess.run([*command, *where], capture_output=True, check=True, timeout=60)
    settings = {one["name"]: one for one in json.loads(said.stdout)["settings"]}
    return settings[name]["value"], settings[name]["origin"].rpartition("/")[2]


def test_where_nothing_is_different_it_says_so(processes, config, tmp_path):
    root = tmp_path / "root"
    daemon = processes.daemon(root, processes.sandbox())
    assert ask(config, root) == (Exit.OK, "nothing is different\n", "")
    code, out, _ = ask(config, root, "--no-wait")
    assert code == Exit.OK
    assert f"process {daemon.pid} was asked" in out
    processes.wait(lambda: len(daemon.events("config.reloaded")) == 2, what="a second reload")


def test_a_daemon_without_a_socket_hears_a_signal(processes, config, tmp_path):
    """Somebody cleaned up var/ a moment ago; it makes a new one within seconds."""
    root = tmp_path / "root"
    daemon = processes.daemon(root, processes.sandbox())
    config.write_text("[inbox]\nmax_claimed = 3\n")
    processes.wait((root / "var" / "batchd.sock").is_socket, what="a socket")
    (root / "var" / "batchd.sock").unlink()
    (root / "var" / "batchd.sock").mkdir()  # it can't be made anew
    assert ask(config, root)[:2] == (Exit.OK, "changed: inbox.max_claimed\n")
    assert len(daemon.events("config.reloaded")) == 1


def test_without_a_daemon_there_is_nothing_to_reload(tmp_path, capsys):
    code = invoke(batchd, ["reload", "--set", f"folders.root={tmp_path}"])
    assert code == Exit.NOT_RUNNING
    assert "no daemon serves" in capsys.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_a_stranger_may_not_and_is_told_who_may(processes):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        root = Path(folder) / "root"
        daemon = processes.daemon(root, processes.sandbox())
        for each in (root.parent, root, root / "var"):
            each.chmod(0o755)
        (root / "var" / "lock").chmod(0o644)  # as its group sees it
        refusal = _refused(daemon, root)
        assert refusal == (
            Exit.PERMISSION,
            f"{root}/var/batchd.sock is for the group root and root only: try sudo",
        )
        processes.end()  # before its folder goes: it would write into what is being removed


def _refused(daemon: Daemon, root: Path) -> tuple[int, str]:
    """In a child that gives its rights away once all is imported: /root is closed to strangers."""
    code = (
        "import os, sys\n"
        "os.chdir('/')\n"
        "from batchd.cli import batchd as program, invoke\n"
        "import batchd.cli.reload, batchd.configuration, batchd.control.client\n"
        f"os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY})\n"
        f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
        f"sys.exit(invoke(program, ['reload', '--set', 'folders.root={root}']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return run.returncode, run.stderr.removeprefix("batchd: ").rstrip()
