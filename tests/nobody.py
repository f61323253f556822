"""Being an ordinary user for a while: root may read and rename everything, and shows nothing."""

from __future__ import annotations

import codecs
import importlib.readers  # noqa: F401  # used late, when the interpreter may be root's alone
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchd.spool.folders import Folders

NOBODY = 65534
codecs.lookup("utf-8-sig")  # found late, as above


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A root of an ordinary user's, as that user."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        Folders(root).prepare()
        if os.getuid() != 0:
            yield root
            return
        for path in (root, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield root
        finally:
            os.seteuid(0)
