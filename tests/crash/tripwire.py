"""Kills the house at its n-th side effect, whatever that is: nothing has to be listed here.

Side effects on folders are seen by the interpreter's own audit events (rename, mkdir, remove, open
for writing ...), ledger events and remote calls by the objects that a house is put together from.
Each is a place to die before and after. Once dead, nothing more has an effect, as after kill -9.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchd.core.model import BatchStatus
from tests.fakes.remote import FakeRemote, Made
from tests.fakes.remote import Fate as BatchFate

_ON_FOLDERS = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Killed(BaseException):
    """The process is gone. Not an Exception: nobody handles it."""


class Tripwire:
    """Counts side effects below a root; at the chosen one, everything ends."""

    def __init__(self) -> None:
        self.root: str | None = None  #: where effects count; None: not armed
        self.seen: list[str] = []
        self._kill_at: int | None = None
        self._dead = False

    def arm(self, root: Path, *, kill_at: int | None) -> None:
        self.root, self.seen, self._kill_at, self._dead = str(root), [], kill_at, False

    def disarm(self) -> None:
        self.root = None

    def step(self, name: str) -> None:
        """One place to die."""
        if self.root is None:
            return
        if self._dead:
            raise Killed
        self.seen.append(name)
        if len(self.seen) == self._kill_at:
            self._dead = True
            raise Killed

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The interpreter is about to do something."""
        if self.root is None:
            return
        if event in _ON_FOLDERS or (event == "open" and self._writes(*arguments[:3])):
            self.step(f"{event} {_shown(arguments, self.root)}")

    def _writes(self, path: Any, mode: Any, flags: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike) or self.root is None:
            return False
        below = os.fsdecode(path).startswith(self.root)
        return below and bool((flags or 0) & _WRITES)


def _shown(arguments: tuple[Any, ...], root: str) -> str:
    paths = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
    return " -> ".join(path.replace(root, "") for path in paths)


def apart(places: Sequence[str]) -> Iterator[int]:
    """Yield the places, from 1 on, that differ in what somebody killed there leaves behind.

    What is in memory dies with him. So after an effect all is as it is before the next one, whose
    ever that is; and to record nothing has none.
    """
    for number, name in enumerate(places, start=1):
        is_last = number == len(places)
        if is_last or not (name.startswith("after ") or name == "before "):
            yield number


TRIPWIRE = Tripwire()
sys.addaudithook(TRIPWIRE.audit)  # for the life of this process; it does nothing while disarmed


class TrippedRemote(FakeRemote):
    """The fake provider outlives the house; a call may die before it or after it."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.expiring: set[str] = set()  #: the first batch with such a custom_id expires half-way
        self.endless: set[str] = set()  #: a batch with such a custom_id ends when it is cancelled

    async def effect(self, name: str, phase: str) -> None:
        if (name, phase) == ("create_batch", "after"):
            made = list(self._batches.values())[-1]
            self._expire_half(made)
            if self._has(made, self.endless):
                made.fate = BatchFate(after_seconds=math.inf)
        TRIPWIRE.step(f"{phase} {name}")

    def _expire_half(self, made: Made) -> None:
        # By content, not by turn: a crash may change who comes first, and must not change the end.
        if hit := self._has(made, self.expiring):
            self.expiring -= hit
            made.fate = BatchFate(BatchStatus.EXPIRED, fraction=0.5)

    def _has(self, made: Made, ids: set[str]) -> set[str]:
        content = self.files[made.order.input_file_id].content
        return {id for id in ids if f'"{id}"'.encode() in content}

    def _cancel(self, made: Made) -> None:
        # Half of it is answered, however long a crash has let it run.
        is_new = made.status not in (BatchStatus.CANCELLING, BatchStatus.CANCELLED)
        super()._cancel(made)
        if made.fate and is_new:
            made.fate = replace(made.fate, fraction=0.5)


class TrippedLedger:
    """The ledger, with a place to die before and after each transaction."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def record(self, *events: Any, at: float) -> None:
        names = "+".join(type(event).__name__ for event in events)
        TRIPWIRE.step(f"before {names}")
        await self._ledger.record(*events, at=at)
        TRIPWIRE.step(f"after {names}")

    async def begin(self, *events: Any, at: float) -> bool:
        names = "+".join(type(event).__name__ for event in events)
        TRIPWIRE.step(f"before {names}")
        began: bool = await self._ledger.begin(*events, at=at)
        TRIPWIRE.step(f"after {names}")
        return began

    async def move(self, event: Any, *, at: float) -> Any:
        TRIPWIRE.step(f"before {type(event).__name__}")
        job = await self._ledger.move(event, at=at)
        TRIPWIRE.step(f"after {type(event).__name__}")
        return job

    async def wish(self, event: Any, *, at: float) -> bool:
        TRIPWIRE.step(f"before the wish {type(event).__name__}")
        granted: bool = await self._ledger.wish(event, at=at)
        TRIPWIRE.step(f"after the wish {type(event).__name__}")
        return granted
