"""What the daemon's user may do, tried as that user where we can become it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shlex import quote

from batchd.core.findings import Finding, ok, warning, wrong
from batchd.spool.folders import Folders

_ROOT = 0


def permissions(folders: Folders) -> Iterator[Finding]:
    """Write into each folder as the user that var/ belongs to: that is the daemon's."""
    places = (folders.staging, folders.outbox, folders.work)
    if not all(map(os.path.isdir, places)):  # False also where this user may not look
        return
    owner, me = folders.var.stat().st_uid, os.getuid()
    if me not in (owner, _ROOT):
        command = f"sudo -u {name_of(owner)} batchd doctor"
        yield warning(
            "rights", f"tried as {name_of(me)}, and the daemon's user is {name_of(owner)}", command
        )
    user = owner if me == _ROOT else me
    yield from _told(user, as_user(user, lambda: not_writable(places)))


def as_itself(folders: Folders) -> Iterator[Finding]:
    """Write into each folder as the daemon, by the daemon."""
    places = (folders.staging, folders.outbox, folders.work)
    yield from _told(os.getuid(), not_writable(places))


def _told(user: int, refused: Sequence[str]) -> Iterator[Finding]:
    for place in refused:
        fix = f"chown {name_of(user)} {quote(place)}, or chmod g+rwx for one of its groups"
        yield wrong("rights", f"{name_of(user)} may not write into {place}", fix)
    if not refused:
        yield ok("rights", f"{name_of(user)} may write into inbox/.tmp, outbox and var/work")


def not_writable(places: Sequence[Path]) -> list[str]:
    """Try a file in each; return those where that fails."""
    failed = []
    for place in places:
        probe = place / f".batchd-doctor-{os.getpid()}"
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError:
            failed.append(str(place))
    return failed


def as_user(uid: int, tried: Callable[[], list[str]]) -> list[str]:
    """Do it in a child that has become this user; a process can't become itself again."""
    if uid == os.getuid():
        return tried()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _become(uid)
            os.write(write, "\n".join(tried()).encode(errors="surrogateescape"))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="surrogateescape") as said:
        found = said.read()
    os.waitpid(child, 0)
    return found.splitlines()


def _become(uid: int) -> None:
    try:
        user = pwd.getpwuid(uid)
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
    except KeyError:
        os.setgroups([])
    os.setuid(uid)


def name_of(uid: int) -> str:
    """Return a user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
