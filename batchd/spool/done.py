"""The file that says that another is complete: taken with it, delivered with it, never lost.

A claim takes it before its file. A crash between the two leaves a work folder with a done file and
nothing that it speaks of, which is told from everything else, and the next look gives it back.
"""

from __future__ import annotations

import errno
import filecmp
import os
from pathlib import Path

from batchd.spool.crossing import move_anywhere
from batchd.spool.placing import PART, make_folder, remove_file, sync_folder
from batchd.spool.signature import is_plain


def take_done(done: Path, folder: Path) -> None:
    """Move a done file into a work folder, durably: its file may only leave after it."""
    if not is_plain(done):
        raise OSError(errno.EINVAL, "no regular file", str(done))
    make_folder(folder)
    move_anywhere(done, folder / done.name)


def give_back(done: Path, inbox: Path, job: str) -> None:
    """Put a done file back into the inbox; where another has come meanwhile, beside that."""
    back = inbox / done.name
    if not os.path.lexists(back):
        move_anywhere(done, back)
    elif is_plain(back) and filecmp.cmp(done, back, shallow=False):
        # The same word again; or it was copied from another disk, and not yet removed there.
        remove_file(done)
        sync_folder(done.parent)
    else:
        move_anywhere(done, inbox / f"{done.name}.{job}")


def plain_files(folder: Path) -> list[Path]:
    """List the whole files of a folder, which may not be there."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if is_plain(path) and not path.name.endswith(PART)]
