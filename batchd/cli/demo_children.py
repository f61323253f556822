"""The demo's two programs: started, watched, and ended with the demo whatever becomes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Never

import click

from batchd.core.errors import BatchdError

KEY = "sk-demo-no-real-key"  # the sandbox takes any
STOP_SECONDS = 15.0  # as long as the daemon promises to need at most
LAST_LINES = 15


class DemoFailed(BatchdError):
    """The demo could not be shown; the children's last words say why."""


class Child:
    """One batchd, in a session of its own: Ctrl-C is the demo's, and the demo ends its children."""

    def __init__(self, *arguments: str, output: Path) -> None:
        self.name = arguments[0]
        self._output = output
        command = [sys.executable, "-m", "batchd.cli.demo_child", str(os.getpid()), *arguments]
        with output.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def must_live(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"{self.name} ended by itself, with exit code {code}")

    def stop(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        try:
            self._process.wait(STOP_SECONDS)
        finally:  # too slow, or somebody pressed Ctrl-C again
            self._process.kill()
            self._process.wait()


def _environment() -> dict[str, str]:
    """Nothing of the user's settings, key or proxies may reach the demo."""
    ours = ("BATCHD_", "OPENAI_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    here = "127.0.0.1,localhost"
    return {**kept, "OPENAI_API_KEY": KEY, "NO_PROXY": here, "no_proxy": here}


@contextlib.contextmanager
def together() -> Iterator[list[Child]]:
    """A list whose children all end with the block; their last words where it failed."""
    children: list[Child] = []
    try:
        yield children
    except DemoFailed:
        for child in children:
            _last_words(child)
        raise
    finally:
        for child in children:
            child.stop()
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait()


def _last_words(child: Child) -> None:
    lines = child.output().splitlines()[-LAST_LINES:]
    click.echo(f"--- the last that {child.name} said:", err=True)
    click.echo("\n".join(lines) or "(nothing)", err=True)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """`kill` and a closed terminal end the demo as Ctrl-C does: cleaning up."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_: int, __: FrameType | None) -> Never:
    raise KeyboardInterrupt
