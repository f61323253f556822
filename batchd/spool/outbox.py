"""Finished folders: built under a dot-name, complete before they appear, shown by one rename."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Sequence
from pathlib import Path

from batchd.spool.crossing import move_anywhere
from batchd.spool.placing import make_folder, move, remove_folder


class Outbox:
    """The folders people collect."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def draft(self, job: str) -> Path:
        """Return where a job's folder is built: a name that begins with a dot is nobody's."""
        return self._folder / f".{job}"

    def begin(self, job: str) -> Path:
        """Make an empty draft; what an interrupted attempt left is built again."""
        draft = self.draft(job)
        remove_folder(draft)
        make_folder(draft)
        return draft

    def publish(self, job: str, folder: str, leaving: Sequence[Path]) -> bool:
        """Let a complete draft appear, with what was dropped in it; False if it had appeared.

        Safe to repeat from any point: a draft that isn't there was published, and may have been
        taken away by its reader since.
        """
        draft = self.draft(job)
        if not draft.is_dir():
            return False
        for dropped in leaving:
            make_folder(draft / "input")
            _let_the_group_read(dropped)
            move_anywhere(dropped, draft / "input" / dropped.name)
        move(draft, self._folder / folder)
        return True


def _let_the_group_read(dropped: Path) -> None:
    """What came with 0600 is in results and retry.jsonl for the group all the same.

    Another user's file can't be changed, and those who may not read it have the rest.
    """
    mode = stat.S_IMODE(dropped.stat().st_mode)
    if not mode & stat.S_IRGRP:
        with contextlib.suppress(PermissionError):
            dropped.chmod(mode | stat.S_IRGRP)
