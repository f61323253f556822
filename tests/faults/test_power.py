"""A power cut takes back whatever was not synced: so the calls that reach the kernel are read."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.outcomes import check_receipt, finished
from tests.acceptance.processes import Process, Processes, processes_in
from tests.houses import drop, requests

pytestmark = pytest.mark.processes

#: What people are told, and whose loss costs nothing: written anew, and never read by the daemon.
_HINTS = re.compile(r"/(daemon\.json|inbox\.json|STATUS\.txt|status\.json|batchd\.jsonl[.\d]*)$")
_CALLS = "trace=openat,rename,renameat,renameat2,write,pwrite64,fsync,fdatasync"
_PATH = r'"((?:[^"\\]|\\.)*)"'
_ON_FILE = re.compile(r"(write|pwrite64|fsync|fdatasync)\(\d+<([^>]*)>.* = (\d+)")
_RENAMED = re.compile(
    rf"rename(?:at2?)?\((?:\w+(?:<[^>]*>)?, )?{_PATH}, (?:\w+(?:<[^>]*>)?, )?{_PATH}.* = 0"
)


class Call(NamedTuple):
    """One call that the kernel has done."""

    name: str
    path: str
    to: str = ""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@contextmanager
def traced(process: Process, log: Path) -> Iterator[None]:
    """Write down what a running process asks of the kernel."""
    command = shutil.which("strace")
    if command is None:
        pytest.skip("no strace to see it with")
    tracing = [command, "-f", "-y", "-s", "0", "-p", str(process.pid), "-o", str(log)]
    with subprocess.Popen([*tracing, "-e", _CALLS], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        if "attached" not in (said := tracer.stderr.readline()):
            pytest.skip(f"not allowed to trace: {said}")
        yield
        tracer.send_signal(signal.SIGINT)


def calls(log: Path, root: Path) -> Iterator[Call]:
    """What was done below the root, in the order in which it was done."""
    begun = dict[str, str]()
    for line in log.read_text(errors="replace").splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(pid, "") + resumed[1]
        call = _call(text)
        if call and call.path.startswith(str(root)):
            yield call


def _call(text: str) -> Call | None:
    if found := _ON_FILE.match(text):
        name = "write" if "write" in found[1] else "sync"
        return Call(name, found[2])
    if found := _RENAMED.match(text):
        return Call("rename", found[1], found[2])
    return None


def unsafe(done: list[Call]) -> Iterator[str]:
    """What a power cut could take back although something that was kept says that it is there."""
    dirty, unsynced = set[str](), dict[str, str]()
    for call in done:
        match call.name:
            case "write" if call.path.endswith("batchd.db-wal"):
                # The ledger goes on to tell of it: by now it must all be on the disk.
                yield from (
                    f"the ledger goes on before {to} is durable" for to in unsynced.values()
                )
                unsynced.clear()
            case "write":
                dirty.add(call.path)
            case "sync":
                dirty.discard(call.path)
                unsynced.pop(call.path, None)
            case "rename" if not _HINTS.search(call.to):
                if call.path in dirty:
                    yield f"{call.to} appears before its content is durable"
                unsynced[str(Path(call.to).parent)] = call.to
                # Moving a folder takes what is in it along.
                dirty -= {path for path in dirty if path.startswith(call.path + "/")}


def test_nothing_is_told_before_it_is_durable(processes, tmp_path):
    """F29: every file is synced before it appears, every rename before the ledger goes on.

    Threads do several things at once, and one thing's record may fall between another's rename and
    its sync: what is wrong in the order of lines is wrong in each of three lives.
    """
    wrong = None
    for life in ("one", "two", "three"):
        found = unsafe_in_a_life(processes, tmp_path / life)
        wrong = found if wrong is None else wrong & found
        if not wrong:
            return
    assert wrong == set()


def unsafe_in_a_life(processes, folder: Path) -> set[str]:
    """Live once, traced; return what was told too early, without what differs between lives."""
    folder.mkdir()
    root, log = folder / "root", folder / "calls"
    sandbox = processes.sandbox(batch_seconds=0.2)
    daemon = processes.daemon(root, sandbox, batches__max_requests=4)
    with traced(daemon, log):
        drop(root, "a.jsonl", requests(10))
        check_receipt(finished(processes, root, "a")["a"], total=10)
        drop(root, "bad.jsonl", [b"{"])
        processes.wait_for_event(daemon, "job.delivered", outcome="rejected")
        assert daemon.stop() == 0

    done = list(calls(log, root))
    appeared = [call.to for call in done if call.name == "rename"]
    names = {re.sub(r"--\w+", "", Path(path).name) for path in appeared}
    assert {"a.jsonl", "a", "bad.rejected", "receipt.json", "results.jsonl"} <= names
    assert sum(call.path.endswith("-wal") for call in done if call.name == "sync") > 10
    plain = re.compile(r"\b0[0-9a-z]{5}\b")
    return {plain.sub("JOB", wrong.replace(str(root), "")) for wrong in unsafe(done)}


def test_the_reading_would_notice():
    """F29: what is read from the calls is not read into them."""
    wal = "/r/var/batchd.db-wal"
    whole = [
        Call("write", "/r/x.part"),
        Call("sync", "/r/x.part"),
        Call("rename", "/r/x.part", "/r/x"),
    ]
    told = [Call("write", wal), Call("sync", wal)]
    assert list(unsafe([*whole, Call("sync", "/r"), *told])) == []
    assert list(unsafe([*whole, *told])) == ["the ledger goes on before /r/x is durable"]
    assert list(unsafe([whole[0], whole[2], Call("sync", "/r")])) == [
        "/r/x appears before its content is durable"
    ]
