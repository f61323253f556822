"""What `doctor` finds of the machine: versions, file systems, inotify, clock, unit, the daemon."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import join, quote

from batchd.control.client import NotListening, Refused, ask
from batchd.control.presence import presence
from batchd.core.errors import ConfigError
from batchd.core.findings import Finding, ok, warning, wrong
from batchd.core.names import printable
from batchd.spool.folders import Folders
from batchd.spool.users import name_of
from batchd.store.identity import is_blank, must_be_whole
from batchd.store.migrations import STEPS, newest
from batchd.store.mounts import file_system_of, is_remote, silent_kind

_MOUNTS = Path("/proc/self/mountinfo")
_INOTIFY = Path("/proc/sys/fs/inotify")
_PROC = Path("/proc")
#: sqlite.org/wal.html, "The WAL-reset bug": 3.7.0 to 3.51.2. It needs two connections that write;
#: batchd has one.
_WHOLE_SQLITE = (3, 51, 3)
_LEAST_PYTHON = (3, 11)
_NEARLY = 0.9  #: of a limit
_NOTABLE = 5.0  #: seconds that two clocks may differ (as in runtime/skew.py)
_MOST_EXPOSED = 1.5  #: of systemd-analyze's 10; what systemd/batchd.service has
_SECONDS = 20.0  #: for another program's answer
_UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))


def versions() -> Iterator[Finding]:
    """Look at Python and SQLite."""
    python = platform.python_version()
    if sys.version_info[:2] < _LEAST_PYTHON:
        yield wrong("python", python, "install Python 3.11 or newer, and batchd into it")
    else:
        yield ok("python", python)
    if sqlite3.sqlite_version_info < _WHOLE_SQLITE:
        text = (
            f"{sqlite3.sqlite_version} has a bug (before 3.51.3) that two writers at once can hit"
        )
        yield warning("sqlite", text, "let no other program write var/batchd.db; update SQLite")
    else:
        yield ok("sqlite", sqlite3.sqlite_version)


def file_systems(folders: Folders, *, table: Path = _MOUNTS) -> Iterator[Finding]:
    """Look at what the folders lie on."""
    try:
        mounts = table.read_text(errors="surrogateescape")
    except OSError:
        yield warning("files", "this system does not say what is mounted", "look at: mount")
        return
    for folder in (folders.inbox, folders.outbox, folders.var):
        kind = file_system_of(os.path.realpath(folder), mounts)
        text = f"{folder} lies on {kind or 'an unknown file system'}"
        if folder == folders.inbox and silent_kind(folder, table=table):
            fix = f"lower inbox.scan_seconds if that is too late; findmnt -T {quote(str(folder))}"
            yield warning("files", f"{text}, which does not tell of every new file: scan only", fix)
        elif is_remote(kind) and folder == folders.var:
            yield wrong("files", f"{text}, where locks are only promises", "set folders.root")
        else:
            yield ok("files", text)


def sees_limits(*, limits: Path = _INOTIFY) -> bool:
    """Whether the kernel's limits can be read: systemd hides them from a service that needs none."""
    return limits.is_dir()


def inotify(
    user: int | None = None, *, limits: Path = _INOTIFY, proc: Path = _PROC
) -> Iterator[Finding]:
    """Look at the kernel's limits for watching, and at how much of them a user has taken.

    Without a `user`, this process's own.
    """
    if not limits.is_dir():
        yield warning("inotify", "this system has none: the inbox is scanned only", "nothing to do")
        return
    instances, watches = _used(proc, os.getuid() if user is None else user)
    whose = "this user" if user is None else name_of(user)
    for name, used in (("max_user_instances", instances), ("max_user_watches", watches)):
        most = int((limits / name).read_text())
        text = f"{used} of {most:,} {name.removeprefix('max_user_')} are in use by {whose}"
        if used >= most * _NEARLY:
            fix = f"sysctl fs.inotify.{name}={max(most * 2, 128)}"
            yield warning("inotify", f"{text}: the inbox may be scanned only", fix)
        else:
            yield ok("inotify", text)


def _used(proc: Path, user: int) -> tuple[int, int]:
    """Instances and watches of a user's processes, as far as they may be seen."""
    instances = watches = 0
    for folder in proc.glob("[0-9]*/fd"):
        try:
            if folder.stat().st_uid != user:
                continue
            for descriptor in folder.iterdir():
                if str(descriptor.readlink()) == "anon_inode:inotify":
                    instances += 1
                    told = (folder.parent / "fdinfo" / descriptor.name).read_text()
                    watches += told.count("inotify wd:")
        except OSError:
            continue  # it has ended, or is not ours to look at
    return instances, watches


def groups(folders: Folders) -> Iterator[Finding]:
    """Look whether what is dropped and what is delivered gets its folder's group."""
    for folder in filter(os.path.isdir, (folders.inbox, folders.outbox)):
        if not folder.stat().st_mode & stat.S_ISGID:
            text = f"what comes into {folder} does not get its group"
            yield warning("groups", text, f"chmod g+s {quote(str(folder))}")


def clocks(folders: Folders) -> Iterator[Finding]:
    """Look whether the file system's clock is ours."""
    probe = folders.staging / f".batchd-doctor-{os.getpid()}"
    try:
        probe.touch(exist_ok=False)
        ahead = probe.stat().st_mtime - time.time()
        probe.unlink()
    except OSError:
        return  # the folders are looked at elsewhere
    if abs(ahead) > _NOTABLE:
        text = f"the folders' file system is {ahead:+.0f} s from this machine's clock"
        yield warning("clock", text, "timedatectl set-ntp true, on both machines")
    else:
        yield ok("clock", "the folders have this machine's clock")


def kept_right() -> Iterator[Finding]:
    """Look whether somebody keeps this machine's clock right; systemd says so to whoever asks."""
    synchronised = _said(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])
    if synchronised == "no":
        text = "nobody keeps this machine's clock right; times in receipts may be wrong"
        yield warning("clock", text, "timedatectl set-ntp true")


def unit(*, places: Sequence[Path] = _UNITS) -> Iterator[Finding]:
    """Look how much the service could do if somebody took it over."""
    file = next((p / "batchd.service" for p in places if (p / "batchd.service").exists()), None)
    if file is None:
        return
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)]
    found = re.search(r"Overall exposure level.*?: ([\d.]+)", _said(asked) or "")
    if found is None:
        yield warning("unit", f"{file} could not be judged", join(asked))
    elif float(found[1]) > _MOST_EXPOSED:
        text = f"{file} has an exposure of {found[1]}; the one that comes with batchd has less"
        yield warning("unit", text, join(asked))
    else:
        yield ok("unit", f"{file}: exposure {found[1]} of 10")


def _said(command: Sequence[str]) -> str | None:
    """What another program says; None where it is not there."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip()


def ledger(folders: Folders) -> Iterator[Finding]:
    """Look whether the ledger is whole and ours."""
    root = quote(f"folders.root={folders.root}")
    try:
        if is_blank(folders.database) or presence(folders).is_running:
            return  # the daemon looked at its start, and holds it
        version = must_be_whole(folders.database, newest=newest(STEPS))
    except ConfigError as error:
        yield wrong("ledger", str(error), f"batchd recover --dry-run --set {root}")
    except PermissionError as error:
        text = f"{error.filename} is closed to this user"
        yield warning("ledger", text, f"sudo batchd doctor --set {root}")
    else:
        yield ok("ledger", f"{folders.database} is whole, schema {version}")


def daemon(folders: Folders) -> Iterator[Finding]:
    """Look whether a daemon runs, and answers."""
    try:
        there = presence(folders)
    except PermissionError:
        return  # closed to this user, as the ledger is, of which that is told
    if not there.is_running:
        start = f"batchd run --set {quote(f'folders.root={folders.root}')}"
        yield warning("daemon", "no daemon runs here", f"{start}, or systemctl start batchd")
        return
    try:
        ask(folders, "GET", "status")
    except (NotListening, Refused, PermissionError) as error:
        text = printable(f"process {there.pid} runs and does not answer: {error}")
        yield wrong("daemon", text, f"tail -n 20 {quote(str(folders.log))}")
    else:
        yield ok("daemon", f"process {there.pid}, batchd {there.version}; watcher {there.watcher}")
