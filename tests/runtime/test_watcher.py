"""The doorbell: rings for what it sees, and whatever happens to it is survived."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from batchd.runtime.bell import Bell
from batchd.runtime.clock import SystemClock
from batchd.runtime.watcher import watch
from tests.fakes.clock import FakeClock


@asynccontextmanager
async def watching(
    inbox: Path, folders: Callable[[], Sequence[Path]] = lambda: ()
) -> AsyncIterator[Bell]:
    clock = SystemClock()
    bell = Bell(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(watch, inbox, bell, clock, folders=folders))
        await anyio.sleep(0.3)  # it says nothing of what was there before it began
        yield bell
        tasks.cancel_scope.cancel()


async def rings_for(bell: Bell, change: Callable[[], object]) -> None:
    """Make the change again and again until the bell is heard."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def keep_changing() -> None:
                while True:
                    change()
                    await anyio.sleep(0.2)

            tasks.start_soon(keep_changing)
            await bell.wait(1e9)
            tasks.cancel_scope.cancel()


async def test_a_change_in_the_inbox_rings_and_a_stop_is_quick(tmp_path):
    async with watching(tmp_path) as bell:
        await rings_for(bell, (tmp_path / "a.jsonl").touch)
        stopped = anyio.current_time()
    assert anyio.current_time() - stopped < 1.0  # less than a turn of its thread by much


@pytest.mark.parametrize("how", ["deleted", "renamed"])
async def test_an_inbox_that_is_another_folder_now_is_watched_again(tmp_path, how):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    async with watching(inbox) as bell:
        if how == "deleted":
            shutil.rmtree(inbox)
        else:
            inbox.rename(tmp_path / "old")
        inbox.mkdir()
        await bell.wait(5.0)  # its loss rings, too: whatever it missed is looked for
        await anyio.sleep(2.5)
        await rings_for(bell, (inbox / "a.jsonl").touch)


def there(inbox: Path) -> list[Path]:
    return [path for path in (inbox / "sentiment", inbox / "embed") if path.is_dir()]


async def test_a_tasks_folder_is_watched_once_it_is_there_and_when_it_is_made_anew(tmp_path):
    (tmp_path / "sentiment").mkdir()
    async with watching(tmp_path, partial(there, tmp_path)) as bell:
        await rings_for(bell, (tmp_path / "sentiment" / "a.csv").touch)
        (tmp_path / "embed").mkdir()
        await rings_for(bell, (tmp_path / "embed" / "a.csv").touch)
        shutil.rmtree(tmp_path / "sentiment")
        (tmp_path / "sentiment").mkdir()
        await anyio.sleep(1.5)
        await rings_for(bell, (tmp_path / "sentiment" / "a.csv").touch)


async def test_folders_that_come_and_go_are_no_loss_of_the_watcher(tmp_path):
    """Nothing is warned of, and nobody is told that files are found by looking only."""
    told: list[str] = []
    (tmp_path / "embed").mkdir()
    async with anyio.create_task_group() as tasks:
        clock = SystemClock()
        bell = Bell(clock)
        folders = partial(there, tmp_path)
        tasks.start_soon(partial(watch, tmp_path, bell, clock, folders=folders, tell=told.append))
        await anyio.sleep(0.3)
        (tmp_path / "embed").rmdir()
        (tmp_path / "sentiment").mkdir()
        await bell.wait(5.0)
        await rings_for(bell, (tmp_path / "sentiment" / "a.csv").touch)
        tasks.cancel_scope.cancel()
    assert set(told) == {"inotify"}


async def test_what_programs_write_beside_the_inbox_rings_for_nobody(tmp_path):
    (tmp_path / ".tmp").mkdir()
    (tmp_path / "embed").mkdir()
    async with watching(tmp_path, partial(there, tmp_path)) as bell:
        with anyio.move_on_after(1.5) as waited:
            (tmp_path / ".tmp" / "a.csv").write_bytes(b"a piece")
            await bell.wait(1e9)
        assert waited.cancelled_caught


async def test_a_name_that_is_no_text_kills_nothing(tmp_path):
    async with watching(tmp_path) as bell:
        (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).touch()
        await anyio.sleep(0.3)
        await rings_for(bell, (tmp_path / "a.jsonl").touch)


async def test_an_inbox_that_is_not_there_is_waited_for(tmp_path):
    async with watching(tmp_path / "inbox") as bell:
        (tmp_path / "inbox").mkdir()
        await rings_for(bell, (tmp_path / "inbox" / "a.jsonl").touch)


WITHOUT_INOTIFY = """
import sys, anyio
from pathlib import Path
from batchd.runtime.bell import Bell
from batchd.runtime.clock import SystemClock
from batchd.runtime.watcher import watch

async def main():
    clock = SystemClock()
    with anyio.move_on_after(2.0) as scope:
        await watch(Path(sys.argv[1]), Bell(clock), clock)
    assert scope.cancelled_caught

anyio.run(main)
"""


def test_without_inotify_it_goes_on_and_says_so_once(tmp_path):
    """As many tries as a few seconds hold, and one warning: the scan is the truth anyway."""
    zero = "echo 0 > /proc/sys/user/max_inotify_instances"
    command = ["unshare", "-rm", "sh", "-c", f'{zero} && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody set inotify's limits in a namespace of their own")
    run = subprocess.run(
        [*command, sys.executable, "-c", WITHOUT_INOTIFY, tmp_path],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert run.returncode == 0, run.stderr
    warnings = [line for line in run.stdout.splitlines() if "warning" in line]
    assert len(warnings) == 1, run.stdout
    assert "watcher.lost" in warnings[0]


async def test_it_tells_how_new_files_are_learned_of(tmp_path):
    """`status` shows it: with a watcher, and why without one."""
    told: list[str] = []
    twice = anyio.Event()

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            twice.set()

    async with anyio.create_task_group() as tasks:
        gone = tmp_path / "inbox"
        tasks.start_soon(partial(watch, gone, Bell(FakeClock()), FakeClock(), tell=tell))
        with anyio.fail_after(10):
            await twice.wait()
        tasks.cancel_scope.cancel()
    assert told[0] == "inotify"
    assert told[1].startswith("scan only: FileNotFoundError")
