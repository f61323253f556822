"""What was told of problems, kept in var/told.json: a restart is no reason to wake anybody again.

Not in the ledger, which may be what is in trouble. Nothing else is decided by it: a file that is
lost, or can't be written, costs a notice that is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio
import msgspec
import structlog

from batchd.runtime.threads import in_thread
from batchd.spool.placing import place

log = structlog.get_logger()

NAME = "told.json"
_MOST_BYTES = 10_000_000  #: a hundred thousand jobs; what is larger is not ours


class Told(msgspec.Struct, frozen=True, order=True):
    """One problem that somebody was told of."""

    code: str
    job: str = ""


class _File(msgspec.Struct, frozen=True):
    told: list[Told]
    schema: int = 1


class Memory:
    """Those that were told and are not over."""

    def __init__(self, var: Path) -> None:
        self._path = var / NAME
        self._told = frozenset[Told]()
        self._kept = frozenset[Told]()  #: as the file has it
        self._writing = anyio.Lock()

    async def recall(self) -> frozenset[Told]:
        """Return what an earlier daemon has told."""
        self._told = self._kept = await in_thread(self._read)
        return self._told

    async def note(self, told: Iterable[Told]) -> None:
        """Keep these, too."""
        self._told |= frozenset(told)
        await self._keep()

    async def forget_all_but(self, standing: Iterable[Told]) -> None:
        """Forget what is over."""
        self._told &= frozenset(standing)
        await self._keep()

    async def _keep(self) -> None:
        async with self._writing:
            told = self._told
            if told == self._kept:
                return
            try:
                await in_thread(self._write, told)
            except OSError as error:  # a full disk, which may be what is told of; tried again
                log.debug("notice.unkept", text=str(error))
            else:
                self._kept = told

    def _read(self) -> frozenset[Told]:
        try:
            if self._path.stat().st_size > _MOST_BYTES:
                return frozenset()
            return frozenset(msgspec.json.decode(self._path.read_bytes(), type=_File).told)
        except (OSError, ValueError):  # absent, or not ours: it is told again
            return frozenset()

    def _write(self, told: frozenset[Told]) -> None:
        if told:
            place(self._path, msgspec.json.encode(_File(sorted(told))))
        else:
            self._path.unlink(missing_ok=True)
