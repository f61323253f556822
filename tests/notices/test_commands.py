"""Somebody's command: limited in time, in output, and in what it gets to know."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio
import pytest

from batchd.notices.commands import MOST_OUTPUT, environment_for, run
from batchd.notices.outcome import Outcome

PATH = {"PATH": os.environ["PATH"]}


async def sh(script: str, *, cwd: Path, seconds: float = 20.0, **told: str) -> Outcome:
    return await run(["sh", "-c", script], {**PATH, **told}, seconds=seconds, cwd=cwd)


async def test_a_command_knows_what_it_is_told_and_its_output_is_kept(tmp_path):
    outcome = await sh('echo "$BATCHD_JOB"; pwd; echo err >&2', cwd=tmp_path, BATCHD_JOB="0tr1c0")
    assert outcome == Outcome(True, "exit 0", f"0tr1c0\n{tmp_path}\nerr\n")


async def test_arguments_are_no_shells(tmp_path):
    outcome = await run(["echo", "$(id); *"], PATH, seconds=20.0, cwd=tmp_path)
    assert outcome.output == "$(id); *\n"


async def test_one_that_fails_says_how(tmp_path):
    assert (await sh("exit 3", cwd=tmp_path))[:2] == (False, "exit 3")
    assert (await sh("kill -9 $$", cwd=tmp_path))[:2] == (False, "killed by signal 9")
    outcome = await run([str(tmp_path / "gone")], PATH, seconds=20.0, cwd=tmp_path)
    assert not outcome.is_given
    assert "cannot be run" in outcome.text
    assert "No such file" in outcome.text


def is_alive(pid: int) -> bool:
    """Whether it runs; one that nobody waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int) -> None:
    """Wait for init to have noticed: killing takes effect when it does."""
    with anyio.fail_after(10):
        while is_alive(pid):  # noqa: ASYNC110  # another process
            await anyio.sleep(0.01)


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM INT HUP;"])
async def test_one_that_hangs_is_killed_with_all_that_it_has_started(tmp_path, stubborn):
    script = f"{stubborn} sleep 300 & echo $! > child; echo begun; wait; sleep 300"
    began = time.monotonic()
    outcome = await sh(script, cwd=tmp_path, seconds=0.5)

    assert outcome == Outcome(False, "killed after 0.5 s", "begun\n")
    assert time.monotonic() - began < 5
    await gone(int((tmp_path / "child").read_text()))


async def test_at_the_daemons_end_it_is_killed_too(tmp_path):
    child = tmp_path / "child"
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def start() -> None:
                await sh(
                    "sleep 300 & echo $! > part; mv part child; wait", cwd=tmp_path, seconds=99
                )

            tasks.start_soon(start)
            while not child.exists():  # noqa: ASYNC110  # another process
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    await gone(int(child.read_text()))


async def test_what_it_leaves_running_is_not_waited_for(tmp_path):
    began = time.monotonic()
    outcome = await sh("sleep 5 & echo done", cwd=tmp_path)
    assert outcome == Outcome(True, "exit 0", "done\n")
    assert time.monotonic() - began < 4


async def test_megabytes_are_read_and_not_kept_and_the_loop_stays_free(tmp_path):
    """One that is not read would hang; 5 MB in no time, while others get their turn."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        script = "import sys; sys.stdout.write('x' * 5_000_000)"
        outcome = await run([sys.executable, "-c", script], PATH, seconds=30.0, cwd=tmp_path)
        tasks.cancel_scope.cancel()
    assert outcome == Outcome(True, "exit 0", "x" * MOST_OUTPUT)
    assert turns > 50


def test_a_key_is_in_no_commands_environment():
    inherited = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "OPENAI_API_KEY": "sk-secret",
        "OPENAI_WEBHOOK_SECRET": "x",
        "MY_COPY": "Bearer sk-secret!",
        "CREDENTIALS_DIRECTORY": "/run/c",
        "NOTIFY_SOCKET": "/run/n",
        "BATCHD_CONFIG": "/etc/b.toml",
    }
    kept = environment_for({"BATCHD_JOB": "0tr1c0"}, inherited, secrets=("sk-secret", ""))
    assert kept == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "BATCHD_CONFIG": "/etc/b.toml",
        "BATCHD_JOB": "0tr1c0",
    }
