"""What is asked of batchd besides the faults: starts, readers who are quick, one bad file of many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.outcomes import check_receipt
from tests.acceptance.processes import processes_in
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.faults.inboxes import (
    content_of,
    folders,
    is_claimed,
    line,
    lines,
    live_until,
    look,
    put,
    rejection,
)
from tests.houses import delivered, drop, open_services, requests


async def test_a_file_that_is_there_at_the_start_is_given_the_same_time(tmp_path):
    """R4: restarted again and again in the middle of a slow copy, it takes no half of it."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    path = put(tmp_path / "a.jsonl", b"")
    for number in range(6):
        async with open_services(tmp_path, remote=remote, clock=clock) as services:
            if not number:
                path = path.rename(tmp_path / "inbox" / "a.jsonl")
            # Whole lines each time: nothing but the quiet time can tell that more will come.
            put(path, lines(number + 1))
            await look(services)
            assert not is_claimed(services)
            await look(services, seconds=0.9)
            assert not is_claimed(services)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await look(services, seconds=1000.0)
        assert not is_claimed(services), "seen once by this daemon, however long it lay there"
        (folder,) = await live_until(services, folders_there=1)
    assert content_of(folder) == lines(6)


#: Every kind of what is wrong with a file, and something that its error.txt says of it.
BAD: dict[str, tuple[Callable[[str], bytes], str]] = {
    "cut": (lambda name: lines(2, prefix=name) + b'{"custom_id": ', "line 3"),
    "no object": (lambda name: b"[1, 2]\n", "line 1"),
    "no text": (lambda name: line(name) + b"\xff\xfe\n", "line 2"),
    "no ids": (lambda name: b"{}\n", "line 1"),
    "ids twice": (lambda name: line(name) * 2, "line 2"),
    "nested": (lambda name: b"[" * 100_000 + b"\n", "line 1"),
    "holes": (lambda name: line(name) + bytes(4096), "line 2"),
    "empty": (lambda name: b"", "no request"),
    "method": (lambda name: line(name).replace(b"POST", b"GET"), "line 1"),
    "endpoint": (lambda name: line(name).replace(b"/v1/chat/completions", b"/v1/no"), "line 1"),
}


async def test_thirty_bad_files_of_a_hundred_stop_none_of_the_others(tmp_path):
    """R18: seventy results, thirty rejections, each of which names its place."""
    async with open_services(tmp_path, inbox={"cut_grace_seconds": 3.0}) as services:
        inbox, told = tmp_path / "inbox", dict[str, str]()
        for number in range(100):
            name = f"f{number:02}"
            if number % 10 < 7:
                put(inbox / f"{name}.jsonl", lines(2, prefix=name))
                continue
            make, told[name] = list(BAD.values())[(number // 10 * 3 + number % 10 - 7) % len(BAD)]
            put(inbox / f"{name}.jsonl", make(name))
        found = await live_until(services, folders_there=100)
    assert len(told) == 30
    for folder in found:
        name = folder.name.partition("--")[0]
        if name in told:
            assert told[name] in rejection(folder), name
        else:
            check_receipt(folder, total=2)
    assert not list((tmp_path / "inbox").glob("*.jsonl"))


@contextmanager
def watched(outbox: Path) -> Iterator[dict[str, set[str]]]:
    """Look at the outbox all the time, as an impatient reader does: what each folder first had."""
    seen, stop = dict[str, set[str]](), threading.Event()

    def look_on() -> None:
        while not stop.wait(0.0005):
            for entry in os.scandir(outbox) if outbox.is_dir() else ():
                if not entry.name.startswith(".") and entry.name not in seen:
                    inside = (path for path in Path(entry.path).rglob("*") if path.is_file())
                    seen[entry.name] = {str(path.relative_to(entry.path)) for path in inside}

    reader = threading.Thread(target=look_on)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()


@pytest.mark.processes
def test_a_reader_never_sees_a_folder_that_is_not_complete(tmp_path):
    """R15: at the first sight of each, all is in it that will ever be, the receipt as well."""
    root = tmp_path / "root"
    with processes_in(tmp_path) as processes:
        daemon = processes.daemon(root, processes.sandbox(batch_seconds=0.2))
        with watched(root / "outbox") as seen:
            for number in range(20):
                content = [b"{"] if number % 5 == 0 else requests(3, prefix=f"p{number}")
                drop(root, f"f{number}.jsonl", content)
            processes.wait(lambda: len(seen) == 20, what="twenty folders")
        assert daemon.stop() == 0
    for folder in delivered(root).values():
        inside = (path for path in folder.rglob("*") if path.is_file())
        assert seen[folder.name] == {str(path.relative_to(folder)) for path in inside}
        assert {"receipt.json", "RECEIPT.txt"} <= seen[folder.name]
    assert len(folders(root)) == 20
