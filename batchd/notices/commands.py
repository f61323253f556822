"""Runs somebody's command, for a limited time, and keeps a little of what it prints."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from batchd.notices.outcome import Outcome

MOST_OUTPUT = 2_000  #: bytes that are kept
_AT_ONCE = 65_536  #: bytes: what a pipe holds
_BETWEEN_READS = 0.001  #: seconds, once enough is kept: megabytes drain, others get their turn
_LAST_WORDS = 0.2  #: seconds for what is still in the pipe; what it left running may hold it open
#: What is the daemon's own: its key, and its place below the service manager.
_OURS = ("OPENAI_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "JOURNAL_")


def environment_for(
    told: Mapping[str, str], inherited: Mapping[str, str], *, secrets: Sequence[str]
) -> dict[str, str]:
    """Return a command's environment: ours without what is secret, and what it is told."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_OURS) and not any(secret in value for secret in secrets if secret)
    }
    return {**kept, **told}


async def run(
    command: Sequence[str], environment: Mapping[str, str], *, seconds: float, cwd: Path
) -> Outcome:
    """Run it; when its time is over, or ours, it is killed with all that it has started."""
    reading, writing = os.pipe()
    try:
        try:
            process = await anyio.open_process(
                command,
                stdin=DEVNULL,
                stdout=writing,
                stderr=writing,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Outcome(False, f"{command[0]} cannot be run: {error}")
        finally:
            os.close(writing)
        return await _waited_for(process, reading, seconds)
    finally:
        os.close(reading)


async def _waited_for(process: Process, reading: int, seconds: float) -> Outcome:
    output = bytearray()
    try:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                drained = anyio.Event()
                tasks.start_soon(_drain, reading, output, drained)
                await process.wait()
                with anyio.move_on_after(_LAST_WORDS):
                    await drained.wait()
                tasks.cancel_scope.cancel()
    finally:
        was_late = process.returncode is None
        if was_late:
            _kill_all(process.pid)
            with anyio.CancelScope(shield=True):
                await process.wait()
    return Outcome(
        process.returncode == 0 and not was_late,
        f"killed after {seconds:g} s" if was_late else _ending(process.returncode or 0),
        bytes(output).decode("utf-8", "replace"),
    )


def _kill_all(pid: int) -> None:
    """It leads a group of its own; it was not waited for yet, so the number is still its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"killed by signal {-code}"


async def _drain(reading: int, output: bytearray, drained: anyio.Event) -> None:
    """Read on and on, or it would wait for us; but megabytes in no hurry."""
    os.set_blocking(reading, False)
    while True:
        await anyio.wait_readable(reading)
        data = os.read(reading, _AT_ONCE)
        if not data:
            drained.set()
            return
        output += data[: MOST_OUTPUT - len(output)]
        if len(output) >= MOST_OUTPUT:
            await anyio.sleep(_BETWEEN_READS)
