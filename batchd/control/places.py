"""What a word on the command line means: a job, a shard, a batch, or a place below the root."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from batchd.core.errors import BatchdError
from batchd.core.names import is_job_id, printable
from batchd.spool.folders import Folders

_ID = re.compile(r"(?P<job>[0-9a-hjkmnp-tv-z]{1,6})(?:-(?P<number>\d+))?")
_FOLDER = re.compile(r".+--(?P<job>[0-9a-hjkmnp-tv-z]{6})(?:\.[a-z]+)?", re.DOTALL)
_BATCH = "batch"


class NoSuchJob(BatchdError):
    """The ledger has no such job."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path, as parts below the root; none of them for the root itself."""

    path: Path
    parts: tuple[str, ...] | None  #: None outside of the root
    told: bool | None = None  #: whether something lies there, where somebody else has looked

    @property
    def is_there(self) -> bool:
        """Whether something lies there; a link that leads nowhere is something, too."""
        return os.path.lexists(self.path) if self.told is None else self.told

    def seen_by_another(self, is_there: bool) -> Place:
        """Return it as the daemon may look at it: below the root, and nowhere else.

        Outside, the word of whoever asks counts: what lies in their home is theirs to see, and what
        lies in another's is not for them to learn from us.
        """
        return self if self.parts is not None else replace(self, told=is_there)


NOWHERE = Place(Path("/"), None, told=False)  #: for what is meant by its id, and by no path


def place_of(word: str, *, folders: Folders, cwd: Path) -> Place:
    """Find the place a word means: from here, else from the root, else in the inbox.

    A bare name means the inbox before what lies here: the copy that waits, not its original. Who
    stands in a folder of the root means what lies there.
    """
    root = folders.root.resolve()
    tries = [_lexical(base / word) for base in (cwd, root, root / "inbox")]
    here = cwd.resolve()
    is_bare = Path(word).name == word != ".."
    if is_bare and (here == root or not here.is_relative_to(root)):
        tries.insert(0, tries.pop())
    path = next((path for path in tries if os.path.lexists(path)), _lexical(cwd / word))
    if path == root:
        return Place(path, ())
    return Place(path, path.relative_to(root).parts if path.is_relative_to(root) else None)


def _lexical(path: Path) -> Path:
    """Resolve where a path lies, and never the thing itself: it may be a link."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  # Path has nothing that only tidies ".."
    return whole.parent.resolve() / whole.name


@dataclass(frozen=True, slots=True)
class Id:
    """The beginning of a job's id, perhaps with a shard's number; or of a batch's."""

    job: str = ""
    number: int | None = None
    batch: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be missing at its end; for a batch nobody knows."""
        return is_job_id(self.job)


def id_of(word: str) -> Id | None:
    """Read a word as an id; None for what can be none."""
    if word.startswith(_BATCH):
        return Id(batch=word)
    found = _ID.fullmatch(word)
    if found is None or (found["number"] and not is_job_id(found["job"])):
        return None
    return Id(job=found["job"], number=int(found["number"]) if found["number"] else None)


def job_in(folder: str) -> str | None:
    """Return the job whose folder in outbox/ or var/work/ has this name."""
    if is_job_id(folder.removeprefix(".")):
        return folder.removeprefix(".")
    found = _FOLDER.fullmatch(folder)
    return found["job"] if found else None


def job_meant(word: str) -> str:
    """Return the id, or its beginning, that is meant by a word or by a job's folder.

    Raises `NoSuchJob` for what can be neither.
    """
    name = word.rstrip("/").rpartition("/")[2]
    found = id_of(job_in(name) or word)
    if found is None or not found.job or found.number is not None:
        raise NoSuchJob(f"there is no job {printable(word)}; batchd jobs lists them")
    return found.job
