"""What is dropped, and how: unfinished, changing, odd or broken files, and what becomes of each."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from batchd.core.model import JobState
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.stages import claim, plan
from tests.faults.inboxes import (
    as_ordinary_user,
    content_of,
    is_claimed,
    line,
    lines,
    live_until,
    look,
    put,
    rejection,
    why,
)
from tests.houses import delivered, drop, live, open_services, read_lines, read_receipt, requests

SETTLE = {"inbox": {"settle_seconds": 2.0}}


# When is it finished?


async def test_an_empty_file_that_is_filled_seconds_later_is_processed(tmp_path):
    """F31: Finder makes the name first, and the content comes five seconds later."""
    async with open_services(tmp_path, inbox={"empty_grace_seconds": 30.0}) as services:
        path = put(tmp_path / "inbox" / "a.jsonl", b"")
        for _ in range(5):
            await look(services, seconds=1.0)
        assert why(services, path).code == "empty"

        put(path, lines(3))
        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == lines(3)
        assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"


async def test_a_file_that_stays_empty_is_rejected_after_its_grace(tmp_path):
    """F32: zero bytes for ever."""
    async with open_services(tmp_path, inbox={"empty_grace_seconds": 30.0}) as services:
        path = put(tmp_path / "inbox" / "a.jsonl", b"")
        await look(services)
        await look(services, seconds=29.0)
        assert path.exists()
        await live(services, deliveries=1)
        assert rejection(delivered(tmp_path)["a"]).startswith("the file has no request in it")


async def test_a_slow_writer_is_waited_for(tmp_path):
    """F33: a kilobyte a second for a minute, each one a whole line, and no writer to be seen."""
    async with open_services(tmp_path, **SETTLE) as services:
        path = tmp_path / "inbox" / "a.jsonl"
        for second in range(60):
            with path.open("ab") as file:
                file.write(line(f"r-{second}", text="x" * 800))
            await look(services, seconds=1.0)
            assert not is_claimed(services), second
            assert why(services, path).code in ("settling", "growing")
        await live(services, deliveries=1)
        assert len(read_lines(delivered(tmp_path)["a"] / "results.jsonl")) == 60


@pytest.mark.parametrize("keeps_it_open", [True, False])
async def test_a_writer_that_pauses_is_waited_for(tmp_path, keeps_it_open):
    """F34: a scanner that pauses four seconds between two chunks, where two are waited for.

    Either it has the file open, or it left a cut line: one of the two guards notices.
    """
    whole, chunk = lines(6), len(line("r-1")) + 7
    async with open_services(tmp_path, **SETTLE) as services:
        path = tmp_path / "inbox" / "a.jsonl"
        for start in range(0, len(whole), chunk):
            with path.open("ab") as file:
                file.write(whole[start : start + chunk])
                file.flush()
                if keeps_it_open:
                    await stays(services, path, "open-writer")
            if not keeps_it_open and start + chunk < len(whole):
                await stays(services, path, "last-line-cut")
        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == whole


async def stays(services: Services, path: Path, reason: str) -> None:
    for _ in range(5):
        await look(services, seconds=1.0)
    assert why(services, path).code == reason
    assert not is_claimed(services)


async def test_a_file_of_full_size_that_is_filled_later_is_waited_for(tmp_path):
    """F35: Explorer sets the size first; what is not there yet are zeros."""
    whole = lines(20)
    async with open_services(tmp_path, **SETTLE) as services:
        path = tmp_path / "inbox" / "a.jsonl"
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, len(whole))
        for start in range(0, len(whole), 1000):
            await stays(services, path, "last-line-cut")
            with path.open("r+b") as file:
                file.seek(start)
                file.write(whole[start : start + 1000])
        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == whole


async def test_a_file_whose_holes_are_never_filled_is_rejected_after_its_grace(tmp_path):
    """F35: the copy broke off, and zeros are no JSON."""
    async with open_services(tmp_path, inbox={"cut_grace_seconds": 60.0}) as services:
        path = put(tmp_path / "inbox" / "a.jsonl", lines(2) + bytes(4096))
        await look(services)
        await look(services, seconds=59.0)
        assert path.exists()
        await live(services, deliveries=1)
        assert rejection(delivered(tmp_path)["a"]).startswith("line 3: this line is not valid JSON")


async def test_a_preserved_modification_time_changes_nothing(tmp_path):
    """F36: files from 1970 and from 2100 wait as long as any, and are processed."""
    async with open_services(tmp_path, **SETTLE) as services:
        for name, seconds in (("old", 0), ("young", 4_102_444_800)):
            os.utime(
                put(tmp_path / "inbox" / f"{name}.jsonl", lines(2, prefix=name)), (seconds,) * 2
            )
        await look(services)
        await look(services, seconds=1.9)
        assert not is_claimed(services)
        await live(services, deliveries=2)
        assert set(delivered(tmp_path)) == {"old", "young"}


# Changed while it is looked at, taken or read


async def test_a_file_that_is_replaced_again_and_again_is_never_a_mixture(tmp_path):
    """F37: replaced by rename at any moment; what is delivered is one whole content or another."""
    versions = [lines(50, prefix=f"v{number}") for number in range(60)]
    inbox = {"settle_seconds": 0.0}
    async with open_services(tmp_path, inbox=inbox) as services:

        def replace() -> None:
            for content in versions:
                put(tmp_path / "inbox" / ".tmp" / "a", content)
                (tmp_path / "inbox" / ".tmp" / "a").replace(tmp_path / "inbox" / "a.jsonl")

        replacing = threading.Thread(target=replace)
        replacing.start()
        await live(services, deliveries=1)
        while replacing.is_alive() or (tmp_path / "inbox" / "a.jsonl").exists():
            await look(services, seconds=1.0)
        jobs = len(services.work.jobs())
        contents = [content_of(f) for f in await live_until(services, folders_there=jobs)]
        assert set(contents) <= set(versions)
        assert contents[-1] == versions[-1]
        assert len(set(contents)) == len(contents), "none was taken twice"


BIG = 400 * 100_000  #: bytes: long enough to be caught being read


@pytest.fixture
def big() -> bytes:
    """Few requests, and many bytes."""
    return lines(400, text="x" * (BIG // 400))


def is_being_read(path: Path) -> bool:
    """Whether this process has come somewhere into a file."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if entry.readlink() == path:
                facts = Path("/proc/self/fdinfo", entry.name).read_text()
                return int(facts.split()[1]) > 0
    return False


async def claimed_and_being_read(services: Services) -> Path:
    """Bring the one dropped file to the middle of its first reading."""
    while not await services.ledger.jobs_in(JobState.CLAIMED):
        await look(services, seconds=1.0)
    (job,) = services.work.jobs()
    path = services.work.input(job)
    assert path is not None
    assert await plan.run_once(services) == 1
    await in_thread(wait_for, partial(is_being_read, path))
    return path


def wait_for(fact: Callable[[], bool]) -> None:
    while not fact():
        pause()


@pytest.mark.parametrize("how", ["truncated", "appended to", "written in place"])
async def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, big, how):
    """F38, F39: truncated, appended to or rewritten while it is read: it waits, and what counts is
    what it is when it is quiet."""
    async with open_services(tmp_path) as services:
        put(tmp_path / "inbox" / "a.jsonl", big)
        path = await claimed_and_being_read(services)
        with path.open("r+b", buffering=0) as file:
            if how == "truncated":
                file.truncate(0)
            elif how == "appended to":
                file.seek(0, os.SEEK_END)
            file.write(lines(2, prefix="late"))
            await services.crews["plan"].finish()
            assert await services.ledger.jobs_in(JobState.CLAIMED), "not planned"
        final = path.read_bytes() if how != "written in place" else lines(3)
        path.write_bytes(final)

        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == final
        results = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [r["custom_id"] for r in results] == ids_in(final)


def ids_in(content: bytes) -> list[str]:
    return [json.loads(line)["custom_id"] for line in content.splitlines()]


async def test_a_file_that_its_owner_takes_back_is_forgotten(tmp_path):
    """F40: deleted between the look and the claim: nothing is left of the attempt."""
    async with open_services(tmp_path) as services:
        path = put(tmp_path / "inbox" / "a.jsonl", lines(1))
        await look(services)
        services.clock.advance(1.0)
        settled = claim._settled(services)
        assert [found.path for found in settled] == [path]
        path.unlink()
        await in_thread(claim._take, settled, None, services)
        await look(services)
        assert not is_claimed(services)
        assert why(services, path).code == "unknown"


# The same again


async def test_a_name_dropped_twice_is_two_jobs_or_the_later_content(tmp_path):
    """F41: before the first was taken the later one replaces it; after that both are done."""
    first, second, third = (lines(2, prefix=prefix) for prefix in "abc")
    async with open_services(tmp_path) as services:
        put(tmp_path / "inbox" / "a.jsonl", first)
        await look(services)
        put(tmp_path / "inbox" / "a.jsonl", second)
        await look(services, seconds=0.9)
        await look(services, seconds=1.0)
        put(tmp_path / "inbox" / "a.jsonl", third)

        done = await live_until(services, folders_there=2)
        assert [content_of(folder) for folder in done] == [second, third]


async def test_the_same_content_under_another_name_is_paid_once(tmp_path):
    """F42: it joins the first; each has its folder, and the receipt names the other."""
    async with open_services(tmp_path) as services:
        drop(tmp_path, "one.jsonl", requests(3))
        drop(tmp_path, "two.jsonl", requests(3))
        await live(services, deliveries=2)
        one, two = (read_receipt(delivered(tmp_path)[name]) for name in ("one", "two"))
        first, joined = (one, two) if one["joined"] is None else (two, one)
        assert joined["joined"] == first["job"]
        assert (first["cost"]["amount"] > 0, joined["cost"]["amount"]) == (True, 0)
        assert set(services.remote.executions.values()) == {1}


async def test_the_same_content_after_the_first_is_done_is_a_new_job(tmp_path):
    """F43: nobody waits for somebody who has left; and `inbox.identical = "run"` never joins."""
    async with open_services(tmp_path) as services:
        for name in ("one.jsonl", "two.jsonl"):
            drop(tmp_path, name, requests(3))
            await live(services, deliveries=len(delivered(tmp_path)) + 1)
        assert read_receipt(delivered(tmp_path)["two"])["joined"] is None
        assert set(services.remote.executions.values()) == {2}

    async with open_services(tmp_path / "other", inbox={"identical": "run"}) as services:
        for name in ("one.jsonl", "two.jsonl"):
            drop(tmp_path / "other", name, requests(3))
        await live(services, deliveries=2)
        assert set(services.remote.executions.values()) == {2}


async def test_an_inode_that_is_used_again_is_another_file(tmp_path):
    """F44: the same name, inode, size and time; the first was deleted before it was taken."""
    async with open_services(tmp_path) as services:
        path = put(tmp_path / "inbox" / "a.jsonl", lines(2, prefix="a"))
        before = path.stat()
        await look(services)
        path.unlink()
        for number in range(2000):  # others make files, too, and may be given the inode
            again = put(tmp_path / "inbox" / f"{number}.part", lines(2, prefix="b"))
            if again.stat().st_ino == before.st_ino:
                break
        else:
            pytest.skip("this file system gives every file an inode of its own")
        os.utime(again, ns=(before.st_mtime_ns,) * 2)
        after = again.rename(path).stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        await look(services, seconds=1.0)
        assert not is_claimed(services), "it was seen once only"
        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == lines(2, prefix="b")


async def test_a_second_name_of_a_file_changes_nothing_once_it_was_taken(tmp_path):
    """F45: a hard link; what is written through the other name is not what was dropped."""
    async with open_services(tmp_path) as services:
        other = put(tmp_path / "other", lines(3))
        os.link(other, tmp_path / "inbox" / "a.jsonl")
        while not await services.ledger.jobs_in(JobState.ACTIVE):
            await look(services, seconds=1.0)
            await plan.run_once(services)
            await services.crews["plan"].finish()
        other.write_bytes(b"nonsense")
        await live(services, deliveries=1)
        assert content_of(delivered(tmp_path)["a"]) == lines(3)
        assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"
        assert other.read_bytes() == b"nonsense"


# What is no file, or not for us


async def ignored(services: Services, *paths: Path) -> set[str]:
    """Give the daemon all the time in the world; return the reasons of what lies there."""
    good = services.folders.inbox / "good.jsonl"
    put(good, lines(1))
    await live(services, deliveries=1)
    assert set(delivered(services.folders.root)) == {"good"}, "and nobody was kept out"
    assert all(os.path.lexists(path) for path in paths)
    return {str(why(services, path).code) for path in paths}


async def test_links_are_ignored_and_their_targets_untouched(tmp_path):
    """F46: to a file inside, to one outside, to nothing, to itself, and to a folder."""
    target = put(tmp_path / "precious.jsonl", lines(2))
    async with open_services(tmp_path / "root") as services:
        inbox = services.folders.inbox
        inside = put(inbox / "plain.part", lines(2))
        links = {
            "inside": inside.name,
            "outside": target,
            "dangling": "nowhere",
            "loop": "loop.jsonl",
            "folder": tmp_path,
        }
        for name, to in links.items():
            (inbox / f"{name}.jsonl").symlink_to(to)
        assert await ignored(services, *(inbox / f"{n}.jsonl" for n in links)) == {"symlink"}
        assert target.read_bytes() == inside.read_bytes() == lines(2)


async def test_pipes_sockets_and_devices_are_ignored_and_nobody_waits_for_them(tmp_path):
    """F47: opening one could last for ever, reading /dev/zero as well."""
    async with open_services(tmp_path) as services:
        inbox = services.folders.inbox
        os.mkfifo(inbox / "pipe.jsonl")
        there = ["pipe"]
        with suppress(PermissionError):  # only root makes a device
            os.mknod(inbox / "zero.jsonl", stat.S_IFCHR | 0o666, os.makedev(1, 5))
            there.append("zero")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(inbox / "s.jsonl"))
            paths = [inbox / f"{name}.jsonl" for name in (*there, "s")]
            assert await ignored(services, *paths) == {"special-file"}


async def test_a_folder_with_the_name_of_a_file_is_ignored(tmp_path):
    """F48: and what is in it stays where it is."""
    async with open_services(tmp_path) as services:
        folder = services.folders.inbox / "x.jsonl"
        folder.mkdir()
        put(folder / "in.jsonl", lines(1))
        assert await ignored(services, folder, folder / "in.jsonl") == {
            "directory",
            "subfolder-without-task",
        }


async def test_an_unreadable_file_stays_with_its_reason_until_it_is_readable(tmp_path):
    """F49: `mv` kept its 0600: whose it is, its mode and the command are told."""
    with as_ordinary_user() as root:
        async with open_services(root) as services:
            path = put(root / "inbox" / "a.jsonl", lines(1))
            path.chmod(0)
            for _ in range(3):
                await look(services, seconds=1.0)
            reason = why(services, path)
            assert reason.code == "no-permission"
            assert f"owner {path.stat().st_uid}, mode 0000" in reason.sentence
            assert "chmod g+r" in reason.sentence
            assert not is_claimed(services)

            path.chmod(0o640)
            await live(services, deliveries=1)
            assert read_receipt(delivered(root)["a"])["outcome"] == "completed"
