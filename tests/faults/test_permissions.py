"""Who may read what, whatever the umask of whoever starts it; and folders that lead astray."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.outcomes import check_receipt, finished
from tests.acceptance.processes import Processes, processes_in
from tests.houses import drop, requests
from tests.nobody import NOBODY

pytestmark = pytest.mark.processes

GROUP = 54_321  # of those who drop files; nobody's on this machine


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start children with it; they end with the test."""
    with processes_in(tmp_path) as children:
        yield children


@contextmanager
def umask(mode: int) -> Iterator[None]:
    """For the children that are started meanwhile."""
    before = os.umask(mode)
    try:
        yield
    finally:
        os.umask(before)


def modes(root: Path, pattern: str) -> dict[str, str]:
    """By path; what is hidden is on its way."""
    paths = (path for path in root.rglob(pattern) if path.name[0] != ".")
    return {str(p.relative_to(root)): oct(stat.S_IMODE(p.stat().st_mode)) for p in paths}


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_a_daemon_of_any_umask_delivers_for_its_group_and_for_no_stranger(
    processes, tmp_path, mask
):
    """F72: with 077 nobody else could read a result, with 000 everybody."""
    root = tmp_path / "root"
    sandbox = processes.sandbox(batch_seconds=0.2)
    with umask(mask):
        processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(3)).chmod(0o600)
    check_receipt(finished(processes, root, "a")["a"], total=3)

    found = modes(root / "outbox", "*") | modes(root / "var", "*")
    folders = {name for name in found if (root / "outbox" / name).is_dir()}
    assert len(folders) == 2, "the finished folder and its input/"
    assert {found[name] for name in folders} == {"0o2750"}
    files = {name: mode for name, mode in found.items() if "." in name}
    assert {"batchd.db", "log/batchd.jsonl"} <= files.keys()
    assert {name: m for name, m in modes(root / "outbox", "*.*").items() if m[-3:] != "640"} == {
        name: "0o2750" for name in folders if "." in name
    }
    strangers = {name: mode for name, mode in found.items() if mode[-1] != "0"}
    assert strangers == {}
    assert modes(root, "inbox") == {"inbox": "0o2770"}


@pytest.mark.skipif(os.getuid() != 0, reason="being another user takes root")
def test_who_is_in_the_group_drops_and_reads_and_strangers_do_neither(processes):
    """F72: a root whose setgid bit is there hands its group on to every result."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o711)
        root = Path(above) / "root"
        root.mkdir()
        os.chown(root, -1, GROUP)
        root.chmod(0o2750)
        sandbox = processes.sandbox(batch_seconds=0.2)
        with umask(0o077):
            processes.daemon(root, sandbox)
        source = drop(root, "a.jsonl", requests(3)).rename(Path(above) / "a.jsonl")
        source.chmod(0o644)
        place = (
            f"umask 027 && cp {source} {root}/inbox/.tmp/b && cd {root}/inbox && mv .tmp/b b.jsonl"
        )
        assert as_other(place, group=NOBODY).returncode != 0
        assert as_other(place, group=GROUP).returncode == 0
        folder = finished(processes, root, "b")["b"]

        everything = f"find {folder} -type f -exec cat {{}} +"
        assert as_other(everything, group=NOBODY).stdout == b""
        read = as_other(everything, group=GROUP)
        assert (read.returncode, read.stderr) == (0, b"")
        assert read.stdout.count(b"\n") >= 3 * 3 + 10, "results, responses, input and receipts"
        for theirs in (f"rm -r {folder}", f"touch {root}/outbox/x", f"touch {root}/var/x"):
            assert as_other(theirs, group=GROUP).returncode != 0, theirs
        processes.end()


def as_other(command: str, *, group: int) -> subprocess.CompletedProcess[bytes]:
    """A shell of a person who is neither root nor the daemon's user."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        user=NOBODY,
        group=group,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )


def test_folders_that_lead_into_each_other_end_it_before_anything_is_made(processes, tmp_path):
    """R62: exit 78 and a sentence; an outbox in the inbox would be taken in again for ever."""
    root = tmp_path / "root"
    (root / "inbox" / "out").mkdir(parents=True)
    (root / "outbox").symlink_to(root / "inbox" / "out")
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox, may_end=True)
    assert daemon.exit_code(within=30.0) == 78
    assert "let each be a folder of its own" in daemon.output()
    assert not (root / "var").exists()


def test_a_configuration_that_lies_in_the_inbox_ends_it(tmp_path):
    """R62: whoever may drop files could set the provider's address, and be sent the key."""
    (tmp_path / "inbox").mkdir()
    with processes_in(tmp_path / "inbox") as processes:  # where it puts its configuration, too
        daemon = processes.daemon(tmp_path, processes.sandbox(), may_end=True)
        assert daemon.exit_code(within=30.0) == 78
        assert "inbox/" in daemon.output()
        assert "holds the configuration file" in daemon.output()
