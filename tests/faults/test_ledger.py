"""The ledger's faults: locked, damaged, gone, replaced, read-only, full; each made for real."""

import errno
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.store.failures import LedgerGone
from tests.acceptance.processes import Processes, Sandbox, processes_in
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, requests, turn
from tests.store.test_locks import locker

COMMAND = "batchd recover --set folders.root="


def own_mounts() -> bool:
    """Whether a child of ours may mount something that only it sees."""
    command = shutil.which("unshare")
    return bool(command) and not subprocess.run([command, "-rm", "true"], check=False).returncode


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


async def used(root: Path) -> Path:
    """A root with a delivered job; returns its database."""
    async with open_services(root) as services:
        drop(root, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        await services.ledger.check()
    return root / "var" / "batchd.db"


def database_of(root: Path) -> Path:
    return root / "var" / "batchd.db"


async def refusal(root: Path) -> str:
    """Start, be refused, and find everything in var/ as it was."""
    files = {path: path.read_bytes() for path in (root / "var").glob("batchd.db*")}
    with pytest.raises(ConfigError) as refused:
        async with open_services(root):
            pass
    assert {path: path.read_bytes() for path in files} == files
    return str(refused.value)


# Locked (F73), or by a second daemon (F74)


@pytest.mark.processes
def test_a_transaction_goes_on_when_the_holder_lets_go(processes: Processes, tmp_path: Path):
    """F73: the real daemon, locked out in the middle of its work for longer than any timeout."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    with locker(database_of(root)) as pid:
        drop(root, "a.jsonl", requests(3))
        locked = processes.wait_for_event(daemon, "ledger.locked")
        assert f"(process {pid})" in locked["text"]
    processes.wait(lambda: delivered(root), what="delivery")
    assert daemon.events("ledger.free")
    assert daemon.stop() == 0


@pytest.mark.processes
def test_a_daemon_that_waits_for_its_ledger_can_be_stopped(processes: Processes, tmp_path: Path):
    """F73: the stop is not held up by whoever holds the database."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox, daemon__grace_seconds=1)
    with locker(database_of(root)):
        drop(root, "a.jsonl", requests(3))
        processes.wait_for_event(daemon, "ledger.locked")
        assert daemon.stop() == 0
    processes.daemon(root, sandbox)
    processes.wait(lambda: delivered(root), what="delivery")


@pytest.mark.processes
def test_a_second_daemon_leaves_at_once_and_names_the_first(processes: Processes, tmp_path: Path):
    """F74: exit 75, with the process id of the one that is there."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    first = processes.daemon(root, sandbox)
    second = processes.daemon(root, sandbox, may_end=True)
    assert second.exit_code(within=15) == 75
    assert f"(process {first.pid})" in second.output()
    assert first.stop() == 0


# Damaged (F75)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(40_000))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bits_flipped(path: Path) -> None:
    content, chance = bytearray(path.read_bytes()), random.Random(2)
    for place in range(4096, len(content), 211):
        content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [garbage, truncated, bits_flipped])
async def test_a_damaged_ledger_is_refused_untouched_with_the_way_out(tmp_path: Path, harm):
    """F75: garbage, half a file, flipped bits."""
    harm(await used(tmp_path))
    sentence = await refusal(tmp_path)
    assert "can't be used as the ledger" in sentence
    assert f"{COMMAND}{tmp_path} " in sentence


@pytest.mark.processes
def test_the_daemon_says_so_and_exits_with_78(processes: Processes, tmp_path: Path):
    """F75: what an operator sees, and what systemd does not restart."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    processes.daemon(root, sandbox).stop()
    garbage(database_of(root))
    before = database_of(root).read_bytes()
    assert refused(processes, root, sandbox, code=78).count(COMMAND) == 1
    assert database_of(root).read_bytes() == before


def refused(processes: Processes, root: Path, sandbox: Sandbox, *, code: int) -> str:
    daemon = processes.daemon(root, sandbox, may_end=True)
    assert daemon.exit_code(within=30) == code, daemon.tail()
    return daemon.output()


async def test_another_programs_database_is_nobodys_to_recover(tmp_path: Path):
    """F75: it is moved away, not rebuilt."""
    path = await used(tmp_path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    sentence = await refusal(tmp_path)
    assert "another program's database" in sentence
    assert COMMAND not in sentence


# Empty or gone (F76)


@pytest.mark.parametrize("how", ["gone", "empty"])
async def test_amnesia_beside_open_jobs_is_refused(tmp_path: Path, how: str):
    """F76: with an empty ledger, everything in var/work would be bought again."""
    path = await used(tmp_path)  # its work folder is kept for a day
    path.unlink()
    if how == "empty":
        path.touch()
    sentence = await refusal(tmp_path)
    assert "is gone, but" in sentence
    assert COMMAND in sentence


@pytest.mark.parametrize("how", ["gone", "empty"])
async def test_an_outbox_full_of_finished_work_keeps_nobody_out(tmp_path: Path, how: str):
    """F76: what lies there is paid and done; a new ledger buys nothing of it again."""
    path = await used(tmp_path)
    path.unlink()
    shutil.rmtree(tmp_path / "var" / "work")
    if how == "empty":
        path.touch()
    clock = FakeClock(1_790_009_999.0)
    async with open_services(tmp_path, remote=FakeRemote(clock), clock=clock) as services:
        drop(tmp_path, "b.jsonl", requests(2, prefix="b"))
        await live(services, deliveries=2)


async def test_a_brand_new_root_starts(tmp_path: Path):
    """F76: nothing anywhere is how everything begins."""
    async with open_services(tmp_path) as services:
        assert await services.ledger.last_job() is None


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_ledger_taken_away_while_running_ends_the_house(tmp_path: Path, how: str):
    """F76: nothing is claimed or sent any more, and the ledger as it was is saved."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    with pytest.raises(LedgerGone, match=f"{how} while batchd was running"):
        await live_without(tmp_path, remote, clock, how)
    assert remote.opened == []
    sentence = await refusal(tmp_path)
    assert "deleted or replaced while batchd was running" in sentence
    assert COMMAND in sentence


async def live_without(root: Path, remote: FakeRemote, clock: FakeClock, how: str) -> None:
    async with open_services(root, remote=remote, clock=clock) as services:
        drop(root, "a.jsonl", requests(3))
        await turn(services)
        take_away(database_of(root), how)
        await live(services, deliveries=1)


def take_away(path: Path, how: str) -> None:
    copy = path.read_bytes()
    path.unlink()
    if how == "replaced":
        path.write_bytes(copy)


@pytest.mark.processes
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_an_idle_daemon_notices_and_exits_with_74(processes: Processes, tmp_path: Path, how: str):
    """F76: with nothing to record, a look every five seconds finds it."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    take_away(database_of(root), how)
    assert daemon.exit_code(within=30) == 74, daemon.tail()
    assert f"batchd.db: {how} while batchd was running" in daemon.output()
    assert daemon.events("ledger.gone")


# Its log, and a folder that can't be written (F77)


async def test_a_deleted_log_is_refused_at_start(tmp_path: Path):
    """F77: the last commits were in it; SQLite would go on without a word."""
    path = await used(tmp_path)
    left_by_a_kill = path.with_name("batchd.db-shm")
    left_by_a_kill.write_bytes(b"x" * 32_768)
    sentence = await refusal(tmp_path)
    assert "batchd.db-wal was deleted" in sentence
    assert COMMAND in sentence


@pytest.mark.processes
def test_a_killed_daemons_log_is_missed(processes: Processes, tmp_path: Path):
    """F77: the same after a real kill -9."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    processes.daemon(root, sandbox).kill()
    database_of(root).with_name("batchd.db-wal").unlink()
    assert "-wal was deleted" in refused(processes, root, sandbox, code=78)


@pytest.mark.processes
def test_a_deleted_log_while_running_loses_nothing(processes: Processes, tmp_path: Path):
    """F77: exit 74; closing writes the log back, and the next start goes on."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    database_of(root).with_name("batchd.db-wal").unlink()
    assert daemon.exit_code(within=30) == 74, daemon.tail()
    processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(3))
    processes.wait(lambda: delivered(root), what="delivery")


@pytest.mark.processes
@pytest.mark.skipif(not own_mounts(), reason="no user namespaces here: no mount of one's own")
def test_a_read_only_folder_is_refused_in_words(processes: Processes, tmp_path: Path):
    """F77: var/ on a disk that was mounted read-only."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    processes.daemon(root, sandbox).stop()
    var = root / "var"
    script = f'mount --bind {var} {var} && mount -o remount,ro,bind {var} && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", *command_of(root, tmp_path, sandbox)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode in (74, 78), ended.stderr
    assert "Read-only file system" in ended.stderr


def command_of(root: Path, folder: Path, sandbox: Sandbox) -> list[str]:
    provider = [f"OPENAI_BASE_URL={sandbox.base_url}", "OPENAI_API_KEY=sk-x"]
    (folder / "empty.toml").touch()
    config = ["--config", str(folder / "empty.toml"), "--set", f"folders.root={root}"]
    return ["env", *provider, sys.executable, "-m", "batchd", "run", *config]


# Newer (F78)


async def test_a_newer_ledger_is_refused_untouched(tmp_path: Path):
    """F78: an older program must not write what it does not understand."""
    path = await used(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")
    sentence = await refusal(tmp_path)
    assert "newer batchd (schema 99" in sentence
    assert COMMAND not in sentence


# Full, and I/O errors (F79)


async def test_a_full_ledger_is_passing(tmp_path: Path):
    """F79: SQLITE_FULL in the middle of a transaction: rolled back, and done when there is room."""
    clock = FakeClock()
    async with open_services(tmp_path, remote=FakeRemote(clock), clock=clock) as services:
        pages = await pragma(services, "page_count")
        await pragma(services, f"max_page_count = {pages}")
        with pytest.raises(OSError, match="No space left on device") as full:
            await drop_until_refused(tmp_path, services)
        assert full.value.errno == errno.ENOSPC
        await pragma(services, "max_page_count = 1000000")
        dropped = len(list((tmp_path / "var" / "work").iterdir()))
        await live(services, deliveries=dropped)
        assert await pragma(services, "integrity_check") == "ok"


async def drop_until_refused(root: Path, services) -> None:
    for number in range(1000):
        drop(root, f"f{number}.jsonl", requests(1, prefix=f"f{number}"))
        services.clock.advance(2.0)
        await turn(services)


async def pragma(services, text: str) -> object:
    database = services.ledger._database
    return await database.read(lambda c: c.execute(f"PRAGMA {text}").fetchone()[0])


async def test_an_io_error_is_passing(tmp_path: Path):
    """F79: the kernel refuses the write itself (a file size limit): SQLITE_IOERR."""
    clock = FakeClock()
    async with open_services(tmp_path, remote=FakeRemote(clock), clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await turn(services)
        clock.advance(2.0)
        for _ in range(3):
            with (
                file_size_limit(1),
                pytest.raises(OSError, match="nothing was recorded") as refused,
            ):
                await turn(services)
            assert refused.value.errno in (errno.EIO, errno.ENOSPC)
        await live(services, deliveries=1)
        assert await pragma(services, "integrity_check") == "ok"


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# On another machine's disk (R32)


@pytest.mark.processes
@pytest.mark.skipif(not own_mounts(), reason="no user namespaces here: no mount of one's own")
def test_a_state_folder_on_fuse_is_refused(processes: Processes, tmp_path: Path):
    """R32: a real FUSE mount, whose server knows two questions: hello, and what is the root."""
    root, sandbox = tmp_path / "root", processes.sandbox()
    (root / "var").mkdir(parents=True)
    served = [sys.executable, str(Path(__file__).with_name("fuse.py")), str(root / "var")]
    command = ["unshare", "-rm", *served, *command_of(root, tmp_path, sandbox)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if ended.returncode == 77:
        pytest.skip(f"no FUSE mount here: {ended.stderr}")
    assert ended.returncode == 78, ended.stderr
    assert "lies on a network file system (fuse)" in ended.stderr
