"""What batchd asks of a provider of batches. Two implementations: the SDK's, and the tests' fake.

Both pass `tests/remote/test_conformance.py`; a third is done when it does, too.

Every method raises, and raises nothing else:

- `RemoteUnavailable`: time will help (connection, timeout, 408, 409, 429, 5xx, an answer that is
  not the API's); `may_have_happened` says whether the provider may have acted all the same, and
  `retry_after_seconds` carries the provider's wish.
- `RemoteRefused`: a definite no, with the provider's `status` and `code`; nothing was done.
- `RemoteDenied`: 401, 403, `insufficient_quota`, `billing_hard_limit_reached`; nothing was done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from batchd.core.model import Batch, BatchOrder, BatchPage, FilePage


class Remote(Protocol):
    """A provider that takes a file of requests now and has the answers later."""

    async def upload(self, path: Path, *, name: str) -> str:
        """Upload `path` under the file name `name`; return the file's id. Memory stays flat.

        Repeating it is litter, not money, so the client may retry by itself. The provider removes
        it by itself after `openai.keep_files_days`.
        Gives up when no byte moved for `openai.stall_seconds`, however large the file.
        """
        ...

    async def create_batch(self, order: BatchOrder) -> Batch:
        """Create a batch: the one call that costs money, so it is sent exactly once.

        Never retried here. A timeout, a lost connection, a 5xx or an answer that is no batch is
        `RemoteUnavailable(may_have_happened=True)`: the caller is in doubt and will ask.
        """
        ...

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        """One page of at most 100 batches of the account, the page after batch `after`."""
        ...

    async def retrieve_batch(self, batch_id: str) -> Batch:
        """One batch. An unknown id is `RemoteRefused` with status 404."""
        ...

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Ask the provider to stop a batch; return it as it is then. Saying it twice is nothing new.

        What was executed is kept, and may take minutes to come together (*cancelling*). A batch
        that is over already comes back as it is. An unknown id is `RemoteRefused` with status 404.
        """
        ...

    async def list_files(self, *, after: str | None = None) -> FilePage:
        """One page of what was uploaded for batches, the page after file `after`, newest first.

        For what nobody remembers: an upload whose answer was lost is known by its name here.
        """
        ...

    async def delete_file(self, file_id: str) -> bool:
        """Remove a file at the provider; False where it was gone already. For ever: no way back."""
        ...

    async def file_exists(self, file_id: str) -> bool:
        """Whether the provider still has this file (404 is False, any other failure raises)."""
        ...

    async def download(self, file_id: str, to: Path) -> int:
        """Stream a file's content into `to`, created or replaced; return its length in bytes.

        What a call that broke off has left in `to` may be gone on with, if it is surely the same.
        Never a short result: a body that ends early is `RemoteUnavailable`. `to` is fsynced.
        Content that is not there (yet) is `RemoteRefused` with status 404.
        """
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...


class Asking(Protocol):
    """The models, asked one request at a time: for trying a task out, never for a job."""

    async def answer(self, line: bytes) -> bytes:
        """Send one request line's body; return the line that a batch would have answered with.

        A refusal of this request (400, an unknown model) is an answer. Raises `RemoteDenied` and
        `RemoteUnavailable`.
        """
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...
