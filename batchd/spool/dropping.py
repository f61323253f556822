"""Drops a file into the inbox as a program should: written beside it, made durable, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from batchd.core.errors import ConfigError
from batchd.spool.folders import Folders, make_drop_folder
from batchd.spool.inflating import is_packed
from batchd.spool.placing import sync_folder
from batchd.spool.task_folders import is_real

_MODE = (
    0o640  #: the daemon reads by the inbox's group, which a new file gets from the setgid folder
)
_BUFFER = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


def drop(source: Path, folders: Folders, *, name: str | None = None, task: str = "") -> Path:
    """Copy a file into the inbox, under its own name or one with a number; return where it lies.

    The copy appears whole and durable, and replaces nothing. With a task it comes into that one's
    folder. Raises `ConfigError` where there is no inbox, or a link where the folder should be.
    """
    if not folders.staging.is_dir():
        raise ConfigError(
            f"there is no {folders.staging}: is {folders.root} the root (setting folders.root)?"
            " batchd init makes its folders"
        )
    inbox = _folder_in(folders.inbox, task) if task else folders.inbox
    part = folders.staging / f".{secrets.token_hex(8)}"
    try:
        _copy(source, part)
        target = _appear(part, inbox, name or source.name)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(inbox)
    return target


def _folder_in(inbox: Path, task: str) -> Path:
    """A task's folder; it may be so new that the daemon has not made it yet."""
    folder = inbox / task
    if not os.path.lexists(folder):
        make_drop_folder(folder)
    if not is_real(folder):
        raise ConfigError(f"{folder} is no folder, and links are never followed: move it elsewhere")
    return folder


def _copy(source: Path, part: Path) -> None:
    with source.open("rb", buffering=0) as read, part.open("xb", buffering=0) as written:
        os.fchmod(written.fileno(), _MODE)
        shutil.copyfileobj(read, written, _BUFFER)
        os.fsync(written.fileno())


def _appear(part: Path, inbox: Path, name: str) -> Path:
    for target in _names(inbox, name):
        with contextlib.suppress(FileExistsError):
            _rename(part, target)
            return target
    raise AssertionError


def _names(inbox: Path, name: str) -> Iterator[Path]:
    """`a.jsonl`, `a-2.jsonl`, ...: two files of one name may wait at the same time."""
    yield inbox / name
    stem, suffix = Path(name).stem, Path(name).suffix
    if is_packed(Path(name)):
        stem, suffix = Path(stem).stem, Path(stem).suffix + suffix
    number = 2
    while True:
        yield inbox / f"{stem}-{number}{suffix}"
        number += 1


def _rename(part: Path, target: Path) -> None:
    """Rename without replacing: a link never does, and rename() always would."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "is there already", str(target)) from None
        part.rename(target)
