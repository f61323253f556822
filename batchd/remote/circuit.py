"""While the provider is down, it is not hammered: after some failures in a row, one call in a while
finds out whether it is back. Between the two, a call fails at once, and surely did nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from batchd.core.errors import RemoteError, RemoteUnavailable
from batchd.core.model import Batch, BatchOrder, BatchPage, FilePage
from batchd.core.pacing import circuit_rest
from batchd.core.reasons import ReasonCode
from batchd.remote.api import Remote

log = structlog.get_logger()

FAILURES = 5  #: in a row, of any calls: one lost connection is nothing, this many are an outage


class Circuit:
    """A `Remote` around another one."""

    def __init__(self, remote: Remote, *, monotonic: Callable[[], float]) -> None:
        self._remote = remote
        self._monotonic = monotonic
        self._failures = 0
        self._closed_until = 0.0  #: no call before (monotonic seconds)
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the provider is taken to be down."""
        return self._failures >= FAILURES

    async def upload(self, path: Path, *, name: str) -> str:
        """See `Remote`."""
        with self._watched():
            return await self._remote.upload(path, name=name)

    async def create_batch(self, order: BatchOrder) -> Batch:
        """See `Remote`. Refused here, it was surely not sent."""
        with self._watched():
            return await self._remote.create_batch(order)

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        """See `Remote`."""
        with self._watched():
            return await self._remote.list_batches(after=after)

    async def retrieve_batch(self, batch_id: str) -> Batch:
        """See `Remote`."""
        with self._watched():
            return await self._remote.retrieve_batch(batch_id)

    async def cancel_batch(self, batch_id: str) -> Batch:
        """See `Remote`."""
        with self._watched():
            return await self._remote.cancel_batch(batch_id)

    async def list_files(self, *, after: str | None = None) -> FilePage:
        """See `Remote`."""
        with self._watched():
            return await self._remote.list_files(after=after)

    async def delete_file(self, file_id: str) -> bool:
        """See `Remote`."""
        with self._watched():
            return await self._remote.delete_file(file_id)

    async def file_exists(self, file_id: str) -> bool:
        """See `Remote`."""
        with self._watched():
            return await self._remote.file_exists(file_id)

    async def download(self, file_id: str, to: Path) -> int:
        """See `Remote`."""
        with self._watched():
            return await self._remote.download(file_id, to)

    async def close(self) -> None:
        """See `Remote`."""
        await self._remote.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._let_through()
        try:
            yield
        except RemoteUnavailable as error:
            self._note_failure(error)
            raise
        except RemoteError:
            self._note_answer()  # a no is an answer: it is there
            raise
        else:
            self._note_answer()
        finally:
            self._probing = False

    def _let_through(self) -> None:
        """Let one call in a while find out; the others fail at once."""
        if not self.is_open:
            return
        wait = self._closed_until - self._monotonic()
        if wait > 0 or self._probing:
            raise RemoteUnavailable(
                "the provider is down; it is asked again in a while",
                may_have_happened=False,
                retry_after_seconds=max(wait, 1.0),
            )
        self._probing = True

    def _note_failure(self, error: RemoteUnavailable) -> None:
        if error.status == 429:
            self._note_answer()  # busy is not down, and says itself when to come back
            return
        self._failures += 1
        if self.is_open:
            seconds = circuit_rest(self._failures - FAILURES + 1)
            self._closed_until = self._monotonic() + seconds
            log.warning(
                "provider.down",
                reason=ReasonCode.PROVIDER_UNAVAILABLE,
                text=str(error),
                asked_again_in_seconds=seconds,
            )

    def _note_answer(self) -> None:
        if self.is_open:
            log.info("provider.back")
        self._failures = 0
