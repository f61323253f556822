"""How files are found: whatever becomes of the watcher, of the inbox or of a name, the scan finds."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from batchd.runtime.stage import run_stage
from batchd.spool.bulletin import inbox_seen
from batchd.stages import STAGES
from tests.acceptance.processes import Processes, processes_in
from tests.faults.inboxes import as_ordinary_user, is_claimed, lines, look, put, why
from tests.faults.namespaces import inside, ran_inside
from tests.houses import delivered, drop, live, open_services, requests

OVERFLOWING = 30_000  #: more than fs.inotify.max_queued_events, 16,384
STORM = int(os.environ.get("BATCHD_TEST_STORM") or 20_000)  #: 100,000: the long one
MOST_MEGABYTES = 256
#: Nothing is sent: to be claimed is what counts here, not to be answered.
NOTHING_IS_TAKEN = {"http": [{"route": "POST *", "status": 503}]}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The folder that is to hold inbox/, outbox/ and var/; what storms leave is not kept."""
    yield tmp_path / "root"
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


def wait_for_folders(processes: Processes, root: Path, *stems: str) -> None:
    processes.wait(lambda: set(stems) <= set(delivered(root)), what=f"folders of {stems}")


def all_claimed(root: Path, count: int) -> bool:
    """Whether so many work folders have a file, and the inbox has none any more."""
    if any((root / "inbox").glob("*.jsonl")):
        return False
    return sum(1 for _ in (root / "var" / "work").glob("*/in/*.jsonl")) == count


# The watcher


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A root on a file system in memory, where there is one: a storm is no test of the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder) / "root"


@pytest.mark.processes
def test_all_files_are_claimed_that_came_while_the_process_was_stopped(in_memory, processes):
    """F1: the kernel's queue overflows while we are stopped, and watchfiles says nothing of it."""
    root = in_memory
    assert int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) < OVERFLOWING
    sandbox = processes.sandbox(**NOTHING_IS_TAKEN)
    daemon = processes.daemon(root, sandbox, inbox__max_claimed=1_000_000)
    os.kill(daemon.pid, signal.SIGSTOP)
    content = lines(1)
    for number in range(OVERFLOWING):
        put(root / "inbox" / f"f{number}.jsonl", content)
    os.kill(daemon.pid, signal.SIGCONT)

    processes.wait(lambda: all_claimed(root, OVERFLOWING), what="all claims", within=180)
    assert len(daemon.events("watcher.lost")) <= 1


OVERLAY = """
mount -t tmpfs tmpfs "$BATCHD_TEST_INSIDE"
cd "$BATCHD_TEST_INSIDE"
mkdir lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
cd "$OLDPWD"
"""


@pytest.mark.processes
def test_a_file_system_that_notifies_nobody_is_scanned(request, processes, tmp_path):
    """F2: as on NFS; a file written into the upper layer of an overlay is an event for nobody."""
    if ran_inside(request, OVERLAY, tmp_path):
        return
    upper, root = inside() / "upper", inside() / "root"
    daemon = processes.daemon(root, processes.sandbox())
    put(upper / "inbox" / "a.jsonl", lines(2))
    wait_for_folders(processes, root, "a")
    assert daemon.stop() == 0


@pytest.mark.processes
@pytest.mark.parametrize("limit", ["max_user_instances", "max_user_watches"])
def test_without_inotify_the_inbox_is_scanned_and_the_log_says_how_to_mend_it(
    request, processes, root, tmp_path, limit
):
    """F3, F4, F11: no instances or no watches are left, so that the watcher fails at once, and for
    ever: told once, with the command; files are found, and a stop is a stop."""
    nothing = f"echo 0 > /proc/sys/user/{limit.replace('user', 'inotify')}"
    if ran_inside(request, nothing, tmp_path):
        return
    daemon = processes.daemon(root, processes.sandbox())
    drop(root, "a.jsonl", requests(2))
    wait_for_folders(processes, root, "a")
    told = processes.wait_for_event(daemon, "watcher.lost", level="warning")
    assert f"sysctl fs.inotify.{limit}=" in told["text"]
    assert len(daemon.events("watcher.lost", level="warning")) == 1
    assert daemon.stop() == 0


@pytest.mark.processes
def test_a_name_that_is_no_text_and_the_next_file_are_processed(processes, root):
    """F5: it kills watchfiles, which can't even say why."""
    daemon = processes.daemon(root, processes.sandbox())
    odd = os.fsdecode(b"a\xff.jsonl")
    put(root / "inbox" / odd, lines(1, prefix="odd"))
    processes.wait(lambda: list((root / "outbox").glob(f"*/input/{odd}")), what="the odd one")
    drop(root, "next.jsonl", requests(1))
    wait_for_folders(processes, root, "next")
    assert daemon.code is None


@pytest.mark.processes
def test_an_inbox_that_is_deleted_and_made_anew_is_served_again(processes, root):
    """F6: rm -r, and mkdir two seconds later; it is told, and nothing is restarted."""
    daemon = processes.daemon(root, processes.sandbox())
    shutil.rmtree(root / "inbox")
    processes.wait_for_event(daemon, "watcher.lost")
    processes.wait_for_event(daemon, "stage.failed", stage="claim")
    (root / "inbox").mkdir()
    put(root / "inbox" / "a.jsonl", lines(2))
    wait_for_folders(processes, root, "a")
    assert len(daemon.events("daemon.ready")) == 1
    assert daemon.code is None


@pytest.mark.processes
def test_a_new_inbox_is_served_and_the_renamed_one_left_alone(processes, root):
    """F7: the watcher would stay with the old one."""
    daemon = processes.daemon(root, processes.sandbox())
    put(root / "inbox" / "first.jsonl", lines(1, prefix="first"))
    wait_for_folders(processes, root, "first")  # it watches by now: `daemon.ready` is before that
    (root / "inbox").rename(root / "old")
    (root / "inbox").mkdir()
    processes.wait_for_event(daemon, "watcher.lost")
    theirs = put(root / "old" / "theirs.jsonl", lines(2, prefix="theirs"))
    put(root / "inbox" / "a.jsonl", lines(2))
    wait_for_folders(processes, root, "a")
    assert theirs.exists()
    assert set(delivered(root)) == {"first", "a"}


# The inbox


@pytest.mark.parametrize("how", ["unreadable", "gone"])
async def test_batches_go_on_while_the_inbox_is_out_of_reach_and_it_recovers(how, capsys):
    """F8: chmod 000, or a mount that went away: told, and over when it is over."""
    async with (
        as_ordinary_user() as root,
        open_services(root) as services,
        anyio.create_task_group() as loops,
    ):
        for stage in STAGES:
            loops.start_soon(run_stage, stage, services)

        async def until(fact: Callable[[], object]) -> None:
            with anyio.fail_after(30):
                while not fact():
                    services.clock.advance(1.0)
                    await anyio.sleep(0.005)

        drop(root, "a.jsonl", requests(2))
        await until(lambda: services.remote.opened)
        away(root / "inbox", how)
        failed = services.clock.now()
        await until(lambda: "a" in delivered(root))
        await until(lambda: services.clock.now() > failed + 300)
        back(root / "inbox", how)
        put(root / "inbox" / "b.jsonl", lines(2, prefix="b"))
        await until(lambda: "b" in delivered(root))
        loops.cancel_scope.cancel()
    assert "stage.failed" in capsys.readouterr().out


def away(inbox: Path, how: str) -> None:
    inbox.chmod(0) if how == "unreadable" else inbox.rename(inbox.with_name("gone"))


def back(inbox: Path, how: str) -> None:
    inbox.chmod(0o755) if how == "unreadable" else inbox.with_name("gone").rename(inbox)


async def test_a_folder_of_files_that_is_moved_in_stays_and_says_why(tmp_path):
    """F9: folders are tasks, and there is none of that name; what is moved out of it is taken."""
    async with open_services(tmp_path / "root") as services:
        (tmp_path / "many" / "deep").mkdir(parents=True)
        for name in ("many/a.jsonl", "many/deep/b.jsonl"):
            put(tmp_path / name, lines(2, prefix=name[-7]))
        inbox = services.folders.inbox
        folder = (tmp_path / "many").rename(inbox / "many")
        for _ in range(3):
            await look(services, seconds=60.0)
        assert not is_claimed(services)
        assert why(services, folder).code == "directory"
        for path, code in (
            (folder / "a.jsonl", "task-missing"),
            (folder / "deep" / "b.jsonl", "subfolder-without-task"),
        ):
            assert why(services, path).code == code
            assert "inbox/" in why(services, path).sentence
            path.rename(inbox / path.name)
        await live(services, deliveries=2)
        assert (folder / "deep").is_dir(), "folders are nobody's to remove"


@pytest.mark.processes
def test_no_file_of_a_burst_of_folders_and_files_is_missed(processes, root):
    """F10: two hundred times a new folder, and a file that is moved out of it at once."""
    sandbox = processes.sandbox(**NOTHING_IS_TAKEN)
    processes.daemon(root, sandbox)
    for number in range(200):
        folder = root / "inbox" / f"d{number}"
        folder.mkdir()
        put(folder / "f", lines(1, prefix=f"f{number}")).rename(root / "inbox" / f"f{number}.jsonl")
    processes.wait(lambda: all_claimed(root, 200), what="two hundred claims")


@pytest.mark.processes
def test_a_storm_of_files_waits_in_the_inbox_with_memory_bounded(root, processes, tmp_path):
    """F12: no more are taken than `inbox.max_claimed`, the oldest first; the rest knows why."""
    sandbox = processes.sandbox(**NOTHING_IS_TAKEN)
    daemon = processes.daemon(root, sandbox, inbox__max_claimed=500)
    content = lines(1)
    storm = tmp_path / "storm"
    storm.mkdir()
    for number in range(STORM):
        path = put(storm / f"f{number}.jsonl", content)
        os.utime(path, (number, number))
    (root / "inbox").rename(root / "empty")
    storm.rename(root / "inbox")

    def says_full() -> bool:
        seen = inbox_seen(root / "var")
        return seen is not None and seen[0].counts.get("queue-full") == STORM - 500

    processes.wait(says_full, what="a full queue", within=120)
    taken = [path.name for path in (root / "var" / "work").glob("*/in/*")]
    assert sorted(taken) == sorted(f"f{number}.jsonl" for number in range(500))
    assert daemon.peak_megabytes() < MOST_MEGABYTES
    assert daemon.stop() == 0
