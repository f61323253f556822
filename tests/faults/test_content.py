"""What is dropped, and how: unfinished, changing, odd or broken files, and what becomes of each."""

from __future__ import annotations

import gzip
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from batchd.core.model import JobState
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.stages import claim, plan
from tests.acceptance.processes import Processes, processes_in
from tests.faults.inboxes import (
    as_ordinary_user,
    content_of,
    folders,
    is_claimed,
    line,
    lines,
    live_until,
    look,
    put,
    rejection,
    why,
)
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    request,
    requests,
)

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
        settled, _ = claim._settled(services)
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
    async with as_ordinary_user() as root, open_services(root) as services:
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


# What is in it


MOST_MEGABYTES = 256
SPARSE_BYTES = int(os.environ.get("BATCHD_TEST_SPARSE_BYTES") or 1 << 30)  #: 20 GB: the long one


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.mark.processes
@pytest.mark.parametrize(
    ("head", "size"), [(b"", SPARSE_BYTES), (line("r-0") + line("r-1")[:-20], 500 << 20)]
)
def test_what_is_far_too_long_is_rejected_with_memory_flat(processes, tmp_path, head, size):
    """F50, F51: a huge file of holes, and a request of 500 MB: neither is ever in memory whole."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox, inbox__cut_grace_seconds=0.5)
    with (root / "inbox" / "a.part").open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    (root / "inbox" / "a.part").rename(root / "inbox" / "a.jsonl")
    processes.wait(lambda: delivered(root), what="its rejection", within=300.0)
    first = head.count(b"\n") + 1
    limit = f"line {first}: the line is longer than 67,108,864 bytes"
    assert rejection(delivered(root)["a"]).startswith(limit)
    assert daemon.peak_megabytes() < MOST_MEGABYTES
    assert sandbox.calls("files.create") == 0


async def outcome(root: Path, content: bytes, **settings: dict[str, int]) -> Path:
    """Drop one file, and return its folder."""
    async with open_services(root, **settings) as services:
        put(root / "inbox" / "a.jsonl", content)
        await live(services, deliveries=1)
    return delivered(root)["a"]


# Compressed


async def test_a_compressed_copy_that_pauses_is_waited_for(tmp_path):
    """F56: what is there so far inflates without a fault, and does not end."""
    whole, packed = lines(200), gzip.compress(lines(200))
    async with open_services(tmp_path, **SETTLE) as services:
        path = tmp_path / "inbox" / "a.jsonl.gz"
        for start in range(0, len(packed), 1 + len(packed) // 3):
            with path.open("ab") as file:
                file.write(packed[start : start + 1 + len(packed) // 3])
            if path.stat().st_size < len(packed):
                await stays(services, path, "gzip-broken")
        await live(services, deliveries=1)
        assert gzip.decompress(content_of(delivered(tmp_path)["a"])) == whole
        assert read_receipt(delivered(tmp_path)["a"])["outcome"] == "completed"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(lines(200))[:-9], "the gzip data ends in the middle, after "),
        (
            gzip.compress(lines(20)) + b"PK",
            "there is something else behind the gzip data, at byte ",
        ),
        (lines(20), "the file is not gzip, though its name ends in .gz. If it is plain text, "),
    ],
)
async def test_gzip_data_that_stays_broken_is_rejected_after_its_grace(tmp_path, content, told):
    """F56: cut off, or never gzip: where, what, and what to do; nothing is sent."""
    async with open_services(tmp_path, inbox={"cut_grace_seconds": 60.0}) as services:
        path = put(tmp_path / "inbox" / "a.jsonl.gz", content)
        await look(services)
        await look(services, seconds=59.0)
        assert path.exists()
        await live(services, deliveries=1)
        assert rejection(delivered(tmp_path)["a"]).startswith(told)
        assert content_of(delivered(tmp_path)["a"]) == content
        assert services.remote.files == {}


BOMB = 2_000_000_000  #: bytes, inflated


def bomb(path: Path) -> Path:
    """Good requests without end: two gigabytes of them in two megabytes."""
    block = b"".join(line(f"r-{number}", text="x" * 1_000_000) for number in range(20))
    with gzip.open(path, "wb") as file:
        for _ in range(BOMB // len(block)):
            file.write(block)
    return path


@pytest.mark.processes
def test_a_gzip_bomb_fills_neither_the_disk_nor_the_memory(tmp_path, processes):
    """F56: it is read as far as the limit, and nothing of it is written or sent."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox, inbox__max_inflated_bytes=500_000_000)
    bomb(tmp_path / "bomb").rename(root / "inbox" / "a.jsonl.gz")
    most = 0

    def is_there() -> bool:
        nonlocal most
        most = max(most, written_below(root))
        return bool(delivered(root))

    processes.wait(is_there, what="its rejection", within=120.0)
    told = "inflated it has more than 500,000,000 bytes. Drop it in smaller files."
    assert rejection(delivered(root)["a"]).startswith(told)
    assert daemon.peak_megabytes() < MOST_MEGABYTES
    assert sandbox.calls("files.create") == 0
    assert 0 < most < 20_000_000


def written_below(root: Path) -> int:
    """Bytes in all files, of which some go while they are counted."""
    total = 0
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total


NESTED = {
    "open": b"[" * 100_000,
    "closed": b"[" * 100_000 + b"]" * 100_000,
    "in the body": line("r-0").replace(b'"hello"', b"[" * 100_000 + b"]" * 100_000),
}


@pytest.mark.parametrize("where", NESTED)
async def test_a_deeply_nested_line_is_rejected_and_no_crash(tmp_path, where):
    """F52: a hundred thousand brackets."""
    folder = await outcome(tmp_path, NESTED[where] + b"\n")
    assert rejection(folder).startswith("line 1: this line is not valid JSON: it ")
    if where != "open":
        assert "nested too deeply" in rejection(folder)


FORMS = {
    "mark": (b"\xef\xbb\xbf" + lines(3), {"bom": True, "crlf_lines": 0, "blank_lines": 0}),
    "CR LF": (
        lines(3).replace(b"\n", b"\r\n"),
        {"bom": False, "crlf_lines": 3, "blank_lines": 0},
    ),
    "blank lines": (
        b"\n" + lines(3) + b" \n\r\n",
        {"bom": False, "crlf_lines": 0, "blank_lines": 3},
    ),
    "no last line break": (lines(3).rstrip(), None),
}


@pytest.mark.parametrize("form", FORMS)
async def test_what_can_be_mended_by_rule_is_mended_and_told(tmp_path, form):
    """F53: a byte order mark, CR LF, blank lines, no line break at the end."""
    content, repairs = FORMS[form]
    folder = await outcome(tmp_path, content)
    assert [r["custom_id"] for r in read_lines(folder / "results.jsonl")] == ["r-0", "r-1", "r-2"]
    assert content_of(folder) == content
    assert read_receipt(folder)["repairs"] == repairs


async def test_lines_that_end_with_cr_alone_are_rejected_by_that_name(tmp_path):
    """F53: as on the Macs of old; JSON has CR for a blank, so it is all one line."""
    folder = await outcome(tmp_path, lines(3).replace(b"\n", b"\r"))
    assert rejection(folder).startswith("line 1: ")
    assert "its lines end with CR alone" in rejection(folder)


BROKEN = {
    "utf-16": ("line 1: byte 0 of the file is not UTF-8", "iconv -f UTF-16"),
    "utf-16-le": ("line 1: byte 1 of the file is not UTF-8", "iconv -f UTF-16"),
    "utf-16-be": ("line 1: byte 0 of the file is not UTF-8", "iconv -f UTF-16"),
    "latin-1": ("line 2: byte {byte} of the file is not UTF-8", "iconv -f LATIN1"),
    "surrogate": ("line 2: byte {byte} of the file is not UTF-8", "iconv"),
    "escape": ("line 2: this line is not valid JSON: unexpected end of escaped", ""),
    "NUL": ("line 2: this line is not valid JSON: invalid character", ""),
}
INSTEAD = {"latin-1": b"\xe9", "surrogate": b"\xed\xa0\x80", "escape": b"\\ud800", "NUL": b"\0"}


@pytest.mark.parametrize("what", BROKEN)
async def test_bytes_that_are_no_text_are_rejected_with_their_place(tmp_path, what):
    """F54: UTF-16 with and without its mark, Latin-1, NUL bytes, surrogates alone."""
    content = line("r-0") + line("r-1").replace(b"hello", b"h@llo")
    if what in INSTEAD:
        content = content.replace(b"@", INSTEAD[what])
    else:
        content = content.decode().encode(what)
    begins, advises = BROKEN[what]
    begins = begins.format(byte=len(line("r-0")) + line("r-1").index(b"hello") + 1)
    told = rejection(await outcome(tmp_path, content))
    assert told.startswith(begins), told
    assert advises in told


@pytest.mark.parametrize(
    ("second", "begins"),
    [
        (line("r-0"), 'line 2: the custom_id "r-0" stands on line 1 already'),
        (
            line("r-1").replace(b'"custom_id": "r-1", ', b""),
            'line 2: missing required parameter "custom_id"',
        ),
    ],
)
async def test_an_id_that_is_missing_or_comes_twice_is_rejected_with_its_line(
    tmp_path, second, begins
):
    """F55: both lines are named; answers could not be told apart."""
    told = rejection(await outcome(tmp_path, line("r-0") + second))
    assert told.startswith(begins)


async def test_several_models_and_endpoints_in_a_file_are_several_batches(tmp_path):
    """F55: the provider takes one of each per batch; the results are one file, in input order."""
    embedding = {
        "custom_id": "e-1",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "text-embedding-3-small", "input": "hello"},
    }
    mixed = [request("a-1"), embedding, request("b-1", model="gpt-4.1"), request("a-2")]
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", mixed)
        await live(services, deliveries=1)
        assert len(services.remote.opened) == 3
    results = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
    assert [r["custom_id"] for r in results] == ["a-1", "e-1", "b-1", "a-2"]


# Its name


NAMES = [
    b"two\nlines.jsonl",
    b"-rf.jsonl",
    b"n" * 249 + b".jsonl",
    "\u202egnol.jsonl".encode(),
    b"a..b.jsonl",
    b"con.jsonl",
    "\U0001f600.jsonl".encode(),
    "caf\u00e9.jsonl".encode(),
    "cafe\u0301.jsonl".encode(),
]


async def test_names_are_bytes_and_lead_nowhere_else(tmp_path):
    """F57: line breaks, dashes, 255 bytes, right to left, dots, NFC beside NFD: all are done."""
    root = tmp_path / "root"
    before = set(tmp_path.iterdir())
    async with open_services(root) as services:
        for number, name in enumerate(NAMES):
            put(root / "inbox" / os.fsdecode(name), lines(1, prefix=f"n{number}"))
        dots = put(root / "inbox" / "..jsonl", lines(1))
        done = await live_until(services, folders_there=len(NAMES))
        assert why(services, dots).code == "hidden"
    kept = [os.fsencode(path.name) for folder in done for path in (folder / "input").iterdir()]
    assert sorted(kept) == sorted(NAMES)
    assert all(len(os.fsencode(folder.name)) <= 255 for folder in done)
    assert all(folder.name.isprintable() for folder in done)
    assert set(tmp_path.iterdir()) - before == {root}


@pytest.mark.parametrize(
    ("temporary", "reason"),
    [
        ("a.jsonl.part", "temporary-name"),
        ("a.jsonl.filepart", "temporary-name"),
        ("~syncthing~a.jsonl.tmp", "temporary-name"),
        (".syncthing.a.jsonl.tmp", "hidden"),
        (".a.jsonl.Xy12Zz", "hidden"),
        ("a.jsonl.0123abcd.partial", "temporary-name"),
        ("a.jsonl.crdownload", "temporary-name"),
        ("a.jsonl~", "temporary-name"),
    ],
)
async def test_what_is_renamed_into_place_is_one_job_with_its_final_content(
    tmp_path, temporary, reason
):
    """F58: as rsync, WinSCP, rclone, browsers and syncthing write, with pauses."""
    whole = lines(4)
    async with open_services(tmp_path) as services:
        path = put(tmp_path / "inbox" / temporary, whole[:300])
        for _ in range(5):
            await look(services, seconds=60.0)
        assert (why(services, path).code, is_claimed(services)) == (reason, False)
        put(path, whole)
        path.rename(tmp_path / "inbox" / "a.jsonl")
        await live(services, deliveries=1)
        for _ in range(5):
            await look(services, seconds=60.0)
        assert [content_of(folder) for folder in folders(tmp_path)] == [whole]


async def test_a_file_that_vim_saves_is_one_job_with_its_final_content(tmp_path):
    """F58: 4913 to try the folder, a swap file, the old content aside as a backup, then the new."""
    inbox = tmp_path / "inbox"
    async with open_services(tmp_path) as services:
        path = put(inbox / "a.jsonl", lines(1, prefix="old"))
        await look(services)
        put(inbox / ".a.jsonl.swp", b"b0VIM")
        put(inbox / "4913", b"").unlink()
        path.rename(inbox / "a.jsonl~")
        await look(services, seconds=0.5)
        put(path, lines(2, prefix="new"))
        await look(services, seconds=0.6)
        await live(services, deliveries=1)
        for _ in range(5):
            await look(services, seconds=60.0)
        assert [content_of(folder) for folder in folders(tmp_path)] == [lines(2, prefix="new")]


@pytest.mark.parametrize("in_place", [True, False])
async def test_a_file_that_is_saved_again_and_again_is_one_job_with_the_last_content(
    tmp_path, in_place
):
    """F59: five times in three seconds, where two are waited for."""
    async with open_services(tmp_path, **SETTLE) as services:
        path = tmp_path / "inbox" / "a.jsonl"
        for number in range(5):
            saved = path if in_place else path.with_name("a.jsonl~")
            put(saved, lines(2, prefix=f"v{number}")).rename(path)
            await look(services, seconds=0.6)
            assert not is_claimed(services)
        await live(services, deliveries=1)
        assert [content_of(f) for f in folders(tmp_path)] == [lines(2, prefix="v4")]


async def test_a_file_that_is_touched_every_second_is_taken_when_its_content_stays(tmp_path):
    """F60: touch, chmod or a virus scanner every second on a waiting file: taken after a minute."""
    async with open_services(tmp_path, inbox={"settle_seconds": 2.0}) as services:
        path = drop(tmp_path, "a.jsonl", requests(2))
        for second in range(59):
            os.utime(path, (second, second))
            services.clock.advance(1.0)
            await claim.run_once(services)
        assert path.exists()
        for second in range(10):
            if path.exists():
                os.utime(path, (second, second))
            services.clock.advance(1.0)
            await claim.run_once(services)
        assert not path.exists()
        assert len(await services.ledger.jobs_in(JobState.CLAIMED)) == 1


async def test_a_file_that_is_rewritten_every_second_in_its_size_is_waited_for(tmp_path):
    """F60: what fidgets is not always only touched: content that changes is never taken."""
    async with open_services(tmp_path, inbox={"settle_seconds": 2.0}) as services:
        path = drop(tmp_path, "a.jsonl", [request("0000")])
        size = path.stat().st_size
        for second in range(100):
            with path.open("r+b") as file:
                file.write(json.dumps(request(f"{second:04}")).encode() + b"\n")
            assert path.stat().st_size == size
            services.clock.advance(1.0)
            await claim.run_once(services)
        assert path.exists()
