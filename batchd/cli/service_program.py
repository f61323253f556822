"""Where the installed program is, and whether a service can get at it."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import batchd
from batchd.core.errors import ConfigError

_REMEDY = (
    "Install it where everybody may read, and call it from there, such as: python3 -m venv"
    " /opt/batchd && /opt/batchd/bin/pip install batchd && /opt/batchd/bin/batchd service install"
)
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def installed() -> Path:
    """The program that is running, as it is to be called."""
    program = Path(sysconfig.get_path("scripts")) / "batchd"
    if not program.exists():
        program = Path(sys.argv[0]).absolute()
    if not os.access(program, os.X_OK) or program.name != "batchd":
        raise ConfigError(
            "this batchd is not installed (it was called as a module): a unit needs a program to"
            " start. pip install it, or name it with --program"
        )
    return program


def parts_of(program: Path) -> list[Path]:
    """All that must be within reach: the program, its Python, its modules."""
    python = Path(sys.executable)
    return [program, python, Path(os.path.realpath(python)), Path(batchd.__file__).parent]


def must_be_within_reach(
    parts: Sequence[Path], *, of_everybody: bool, temporary: Sequence[Path] = _TEMPORARY
) -> None:
    """Raise `ConfigError` where a service would say 203/EXEC, "No such file or directory"."""
    hidden = (*temporary, *_HOMES) if of_everybody else temporary
    for part in parts:
        for folder in hidden:
            if folder in part.parents:
                raise ConfigError(
                    f"{part} lies in {folder}, which the service does not see (ProtectHome=,"
                    f" PrivateTmp=), so that it could not start. {_REMEDY}"
                )
        if of_everybody and (closed := next(_closed(part), None)):
            raise ConfigError(
                f"{closed} is closed to other users, so that the user batchd could not start {part}."
                f" Open it (chmod o+rx {closed}), or: {_REMEDY}"
            )


def _closed(part: Path) -> Iterator[Path]:
    for path in (*reversed(part.parents), part):
        mode = path.stat().st_mode
        wanted = stat.S_IXOTH if path != part or not path.is_file() else stat.S_IROTH
        if not mode & wanted:
            yield path
