"""The address of a unix socket, however deep its folder lies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 107  # bytes of sun_path without its end, unix(7); macOS has 103
_DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def near(path: Path) -> Iterator[bytes]:
    """Give an address for bind() and connect() that is short enough, for the time of the block.

    A path that is too long is said from its own folder, held open, as Linux shows it in /proc;
    changing the working directory was considered, and is not this module's to change.
    """
    address = os.fsencode(path)
    if len(address) <= _LONGEST:
        yield address
        return
    if not _DESCRIPTORS.is_dir():
        raise OSError(
            errno.ENAMETOOLONG, f"a socket's path may have {_LONGEST} bytes here", str(path)
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield os.fsencode(_DESCRIPTORS / str(folder) / path.name)
    finally:
        os.close(folder)
