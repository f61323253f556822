"""Moving a file where a rename can't: copy, fsync, compare, and only then remove the first.

Bind mounts and other disks refuse a rename between them. A claim that copies could be interrupted
between the copy and the removal, and would then be taken a second time; so it leaves a note of
what it means to do, and the next start finishes it.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import msgspec

from batchd.spool.placing import PART, move, place, remove_file, sync_folder
from batchd.spool.signature import Signature, signature

_BUFFER = 1 << 20
_CARRIED = f".carried{PART}"  #: a name of its own: one of 255 bytes has no room for an ending


class FileChanges(OSError):
    """The file was written to while it was copied: it is not ours yet."""


class _Intent(msgspec.Struct):
    """What an interrupted claim was about: this very file, and no other of its name."""

    path: str
    signature: Signature


def move_anywhere(source: Path, target: Path) -> None:
    """Rename, or carry the file across where the kernel refuses that. May be repeated."""
    if _is_carried(source, target):
        _remove(source)
        return
    try:
        move(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        carry(source, target)


def carry(source: Path, target: Path) -> None:
    """Copy a file, make sure of the copy, and remove the first. Raises `FileChanges`."""
    before = signature(source)
    part = target.with_name(_CARRIED)
    with source.open("rb") as old, part.open("wb") as new:
        shutil.copyfileobj(old, new, _BUFFER)
        new.flush()
        os.fsync(new.fileno())
    if signature(source) != before or not _same_bytes(source, part):
        remove_file(part)
        raise FileChanges(errno.EAGAIN, "the file changed while it was copied", str(source))
    part.rename(target)
    sync_folder(target.parent)
    _remove(source)


def claim_across(dropped: Path, target: Path, note: Path) -> None:
    """Carry a dropped file into its work folder, leaving a note until it is done."""
    intent = _Intent(os.fsencode(dropped).hex(), signature(dropped))
    place(note, msgspec.json.encode(intent))
    try:
        carry(dropped, target)
    except OSError as error:
        _undo_claim(target, note, intent)
        if error.errno == errno.EROFS and dropped.exists():
            # Said of where it lies, not of where it goes: that could be written a moment ago.
            raise PermissionError(errno.EPERM, "its folder is read-only", str(dropped)) from error
        raise
    remove_file(note)


def _undo_claim(target: Path, note: Path, intent: _Intent) -> None:
    """Take the copy back where the file could not be removed: every look would leave another."""
    if _is_still(Path(os.fsdecode(bytes.fromhex(intent.path))), intent.signature):
        for path in (target, target.with_name(_CARRIED), note):
            remove_file(path)


def finish_claim(target_folder: Path, note: Path) -> None:
    """Finish a claim that was interrupted between its copy and the removal, or undo it before."""
    if not note.exists():
        return
    intent = msgspec.json.decode(note.read_bytes(), type=_Intent)
    dropped = Path(os.fsdecode(bytes.fromhex(intent.path)))
    remove_file(target_folder / _CARRIED)
    if (target_folder / dropped.name).exists() and _is_still(dropped, intent.signature):
        _remove(dropped)
    remove_file(note)


def _is_still(path: Path, known: Signature) -> bool:
    try:
        return signature(path) == known
    except FileNotFoundError:
        return False


def _is_carried(source: Path, target: Path) -> bool:
    """Whether a copy was whole already when we were interrupted."""
    if not target.is_file() or target.is_symlink():
        return False
    return source.lstat().st_dev != target.lstat().st_dev and _same_bytes(source, target)


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            piece = first.read(_BUFFER)
            if piece != second.read(_BUFFER):
                return False
            if not piece:
                return True


def _remove(source: Path) -> None:
    source.unlink()
    sync_folder(source.parent)
