"""`Remote` with OpenAI's own client: the calls, each with its patience. Nothing is retried here.

The SDK could retry and is told not to, in every call: of a lost creation it would make a second
bill, and for the others it would sleep up to two minutes where nobody sees it. Waiting is
`due_at`'s business, with the provider's `Retry-After` in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import httpx2
import structlog
from openai import AsyncOpenAI, omit

from batchd.core.errors import ConfigError, RemoteRefused, RemoteUnavailable
from batchd.core.limits import FILES_PAGE, LIST_PAGE
from batchd.core.model import Batch, BatchOrder, BatchPage, BatchStatus, FilePage
from batchd.remote import transfers
from batchd.remote.failures import clean, named_by_who_must_act, not_the_api
from batchd.remote.resuming import Part
from batchd.remote.translating import batch_in, decoded, file_page_from, page_in
from batchd.settings import OpenAI

log = structlog.get_logger()

LONGEST_CONNECT = 10.0  # seconds; a server that takes longer to say hello is down


class _Raw(Protocol):
    """What `with_raw_response` gives: the answer before the SDK makes anything of it.

    The typed way is not for strangers: of a page of HTML it makes a `str` (or, in a list, an
    `AttributeError`), and of a broken JSON a bare `ValueError`.
    """

    @property
    def http_response(self) -> httpx2.Response: ...


class OpenAIBatches:
    """The Batch API of OpenAI, and of every server that speaks it."""

    def __init__(self, settings: OpenAI, *, base_url: str | None, api_key: str) -> None:
        """`base_url` None is `OPENAI_BASE_URL`, or OpenAI's own address. Nothing is sent yet."""
        self._key = checked_key(api_key)
        self._settings = settings
        self._parts: dict[tuple[str, Path], Part] = {}  # of downloads that broke off
        self._strange_words: set[str] = set()
        timeout_seconds = settings.timeout_seconds
        # Shorter than the call as a whole, so that "never connected" (nothing happened) is told
        # apart from "no answer" (who knows).
        connect = min(LONGEST_CONNECT, timeout_seconds / 2)
        self._transfer_patience = httpx2.Timeout(settings.stall_seconds, connect=connect)
        self._client = AsyncOpenAI(
            base_url=checked_url(base_url),
            api_key=self._key,
            max_retries=0,
            timeout=httpx2.Timeout(timeout_seconds, connect=connect),
        )

    def warm_up(self) -> None:
        """Do what the SDK does at its first call: it imports, and asks programs what system it is.

        In a thread: the first file would wait a fifth of a second for it, and the loop with it.
        """
        client = self._client
        _ = client.default_headers, client.files.with_raw_response, client.batches.with_raw_response

    async def upload(self, path: Path, *, name: str) -> str:
        """Upload a file for batches; gives up when no byte moved for `stall_seconds`."""
        patience = self._transfer_patience
        with self._ours("upload file"):
            return await transfers.send(
                self._client, path, name=name, settings=self._settings, patience=patience
            )

    async def create_batch(self, order: BatchOrder) -> Batch:
        """Sent exactly once. Whatever is not surely a "no" leaves the caller in doubt."""
        answer = await self._ask(
            "create batch",
            self._client.batches.with_raw_response.create(
                input_file_id=order.input_file_id,
                # Another server may know other endpoints and windows than the SDK's Literals.
                endpoint=cast("Any", order.endpoint),
                completion_window=cast("Any", order.completion_window or omit),
                metadata=dict(order.metadata) if self._settings.metadata else omit,
                output_expires_after=transfers.lifetime(order.output_expires_seconds),
            ),
        )
        return self._batch_in(answer, doing="create batch")

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        """One page; never the SDK's auto-pager, which walks through the account's whole past."""
        answer = await self._ask(
            "list batches",
            self._client.batches.with_raw_response.list(limit=LIST_PAGE, after=after or omit),
        )
        page = page_in(answer.content)
        if page is None:
            raise not_the_api(answer, doing="list batches", wanted="list of batches")
        for batch in page.batches:
            self._wonder_at(batch)
        return page

    async def retrieve_batch(self, batch_id: str) -> Batch:
        """One batch; a 404 is `RemoteRefused`."""
        doing = f"look at batch {batch_id}"
        answer = await self._ask(doing, self._client.batches.with_raw_response.retrieve(batch_id))
        return self._batch_in(answer, doing=doing)

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Ask for the end of a batch. "Too late" (409, reference B.4) is an answer, not an error."""
        doing = f"cancel batch {batch_id}"
        try:
            call = self._client.batches.with_raw_response.cancel(batch_id)
            return self._batch_in(await self._ask(doing, call), doing=doing)
        except RemoteUnavailable as error:
            if error.status != 409:
                raise
        return await self.retrieve_batch(batch_id)

    async def list_files(self, *, after: str | None = None) -> FilePage:
        """One page of what was uploaded under `openai.purpose`."""
        answer = await self._ask(
            "list files",
            self._client.files.with_raw_response.list(
                purpose=self._settings.purpose, limit=FILES_PAGE, order="desc", after=after or omit
            ),
        )
        page = file_page_from(decoded(answer.content))
        if page is None:
            raise not_the_api(answer, doing="list files", wanted="list of files")
        return page

    async def delete_file(self, file_id: str) -> bool:
        """Remove a file; what is not there can't be removed, and that is as good."""
        doing = f"delete file {file_id}"
        try:
            answer = await self._ask(doing, self._client.files.with_raw_response.delete(file_id))
        except RemoteRefused as refused:
            if refused.status == 404:
                return False
            raise
        said = decoded(answer.content)
        if not isinstance(said, Mapping) or said.get("deleted") is False:
            raise not_the_api(answer, doing=doing, wanted="word of a deletion")
        return True

    async def file_exists(self, file_id: str) -> bool:
        """Whether the provider still has the file."""
        doing = f"look for file {file_id}"
        try:
            answer = await self._ask(doing, self._client.files.with_raw_response.retrieve(file_id))
        except RemoteRefused as refused:
            if refused.status == 404:
                return False
            raise
        if not isinstance(decoded(answer.content), Mapping):
            raise not_the_api(answer, doing=doing, wanted="file")
        return True

    async def download(self, file_id: str, to: Path) -> int:
        """Stream a file's content into `to`; gives up when no byte came for `stall_seconds`.

        What an earlier call left in `to` is gone on with, where the server offers that.
        """
        patience, part = self._transfer_patience, self._parts.setdefault((file_id, to), Part())
        try:
            with self._ours(f"download file {file_id}"):
                return await transfers.fetch(
                    self._client, file_id, to, part=part, patience=patience
                )
        finally:
            if not part.can_go_on:
                self._parts.pop((file_id, to), None)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    async def _ask(self, doing: str, call: Awaitable[_Raw]) -> httpx2.Response:
        """A call other than a transfer. Its limit is a total: httpx2's are per phase, and a server
        that drips a byte a second would outlast them all (and the time after which a doubt is
        settled is counted from this limit)."""
        with self._ours(doing), anyio.fail_after(self._settings.timeout_seconds):
            return (await call).http_response

    def _batch_in(self, answer: httpx2.Response, *, doing: str) -> Batch:
        batch = batch_in(decoded(answer.content))
        if batch is None:
            raise not_the_api(answer, doing=doing, wanted="batch")
        self._wonder_at(batch)
        return batch

    def _wonder_at(self, batch: Batch) -> None:
        """A state we have no word for is waited through; said once, not at every look."""
        if batch.status is BatchStatus.UNKNOWN and batch.raw_status not in self._strange_words:
            self._strange_words.add(batch.raw_status)
            log.warning(
                "batch.unknown_status",
                batch=batch.id,
                status=clean(batch.raw_status),
                text="taken for not over yet; such a batch is looked at again and again",
            )

    def _ours(self, doing: str) -> AbstractContextManager[None]:
        return named_by_who_must_act(doing, secret=self._key)


def checked_key(key: str) -> str:
    """A key that can't be sent would otherwise be quoted in an exception, again and again."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("the API key is empty, or holds characters that no key has")
    return key


def checked_url(base_url: str | None) -> str | None:
    """Return an address that can be called. Raises `ConfigError`."""
    try:
        scheme = httpx2.URL(base_url).scheme if base_url else "https"
    except httpx2.InvalidURL as error:
        raise ConfigError(f"openai.base_url is no address: {error}") from None
    if scheme not in ("http", "https"):
        raise ConfigError(f"openai.base_url must begin with http:// or https://: {base_url}")
    return base_url or None
