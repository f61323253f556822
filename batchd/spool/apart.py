"""Folders that must be nobody else's: not in each other, and not around the program or its settings.

An outbox inside the inbox would be taken in again for ever; whoever may drop files into a folder
that holds the program could change it. The root may hold both: a checkout is a root.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from batchd.core.errors import ConfigError
from batchd.spool.folders import Folders


class Kept(NamedTuple):
    """Something that no folder of data may hold."""

    what: str
    path: Path


def the_program() -> list[Kept]:
    """Where the program and its environment lie."""
    package = Path(__file__).parents[1]
    return [Kept("the program", package), Kept("the program's environment", Path(sys.prefix))]


def must_be_apart(
    folders: Folders,
    *,
    config: Path | None = None,
    tasks: Path | None = None,
    program: Sequence[Kept] | None = None,
) -> None:
    """Raise `ConfigError` with a sentence for each that lies where it must not. Makes nothing."""
    kept = list(the_program() if program is None else program)
    if config is not None:
        kept.append(Kept("the configuration file", config))
    if tasks is not None:
        # Whoever could change a task could have anything asked of the model, and paid for.
        kept.append(Kept("the task files", tasks))
    data = {"inbox/": folders.inbox, "outbox/": folders.outbox, "var/": folders.var}
    problems = [*_nested(data, folders), *_around(data, kept)]
    if problems:
        raise ConfigError("\n".join(problems))


def _nested(data: dict[str, Path], folders: Folders) -> Iterator[str]:
    # var/work lies in var/, and could be a link out of it.
    everything = [*data.items(), ("var/work/", folders.work)]
    for (one, its), (other, others) in combinations(everything, 2):
        if (one, other) == ("var/", "var/work/"):
            continue
        real, real_other = _real(its), _real(others)
        if _is_in(real, real_other) or _is_in(real_other, real):
            yield (
                f"{one} ({real}) and {other} ({real_other}) lie in each other, so that batchd would"
                f" take its own files for dropped ones: see where {its} and {others} lead, and let"
                " each be a folder of its own"
            )


def _around(data: dict[str, Path], kept: Sequence[Kept]) -> Iterator[str]:
    for name, path in data.items():
        for what, precious in kept:
            # By both of its names: a link in there could be led elsewhere.
            if any(_is_in(one, _real(path)) for one in _names_of(precious)):
                yield (
                    f"{name} ({_real(path)}) holds {what} ({precious}), which could be changed"
                    " by whoever may write there: move it elsewhere, or set folders.root"
                )


def _names_of(path: Path) -> set[Path]:
    return {_real(path), _real(path.parent) / path.name}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
