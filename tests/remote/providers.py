"""The two providers of the conformance suite, behind one face: the fake, and the real client.

The real one talks over real HTTP to the sandbox. What a test wants to go wrong has one name here
and is asked for in each one's own vocabulary.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from batchd.core.errors import RemoteUnavailable
from batchd.core.limits import MAX_KEEP_SECONDS
from batchd.core.model import Batch, BatchError
from batchd.remote.api import Remote
from batchd.remote.openai_batches import OpenAIBatches
from batchd.sandbox.options import Options
from batchd.sandbox.serving import Sandbox, running_sandbox
from batchd.settings import OpenAI
from tests.fakes.remote import FakeRemote, Kept

KEY = "batchd-conformance-key"
RETRY_AFTER = 200.0  # seconds; longer than the SDK would obey


CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What a test has to know of a server to talk to it. The defaults are OpenAI's."""

    openai: Mapping[str, object] = field(default_factory=dict)  #: the settings that it takes
    #: How it writes the endpoints that the suite uses and that it has.
    endpoints: Mapping[str, str] = field(
        default_factory=lambda: {url: url for url in (CHAT, RESPONSES, EMBEDDINGS)}
    )
    keeps_metadata: bool = True
    has_counts: bool = True
    has_pages: bool = True
    has_codes: bool = True  #: in the errors of a batch
    wrong_url: str = "invalid_url"  #: its code for a line that does not fit the batch
    has_error_file: bool = False  #: always, even where nothing failed
    has_cancelling: bool = True  #: as a state of its own
    keeps_input: bool = True  #: of a batch that is over

    @property
    def settings(self) -> OpenAI:
        return OpenAI(**{"timeout_seconds": 10.0, "stall_seconds": 10.0, **self.openai})

    def spelled(self, content: bytes) -> bytes:
        """Request lines as this server wants them."""
        for url, own in self.endpoints.items():
            content = content.replace(f'"{url}"'.encode(), f'"{own}"'.encode())
        return content


_NO_EXPIRY = {"keep_files_days": 0.0}
_ONLY_CHAT = {CHAT: CHAT}
#: By dialect of the sandbox. The settings are those of the table in docs/providers.md.
HABITS = {
    "openai": Habits(),
    "azure": Habits(
        openai={"keep_files_days": 14.0, "endpoint_prefixes": ("", "/v1")},
        endpoints={CHAT: "/chat/completions", RESPONSES: RESPONSES},
        wrong_url="url_mismatch",
        has_error_file=True,
    ),
    "together": Habits(
        openai={"purpose": "batch-api", **_NO_EXPIRY},
        endpoints={CHAT: CHAT, EMBEDDINGS: EMBEDDINGS},
        keeps_metadata=False,
        has_counts=False,
        has_pages=False,
        has_codes=False,
        has_cancelling=False,
    ),
    "groq": Habits(openai={"completion_window": "7d", **_NO_EXPIRY}, endpoints=_ONLY_CHAT),
    "novita": Habits(
        openai={"completion_window": "48h", **_NO_EXPIRY}, endpoints=_ONLY_CHAT, has_codes=False
    ),
    "dashscope": Habits(
        openai={"completion_window": "336h", **_NO_EXPIRY},
        endpoints={CHAT: CHAT, EMBEDDINGS: EMBEDDINGS},
    ),
    "zhipu": Habits(
        openai={"completion_window": "", "endpoint_prefixes": ("/v4",), **_NO_EXPIRY},
        endpoints={CHAT: "/v4/chat/completions"},
        keeps_input=False,
    ),
    "doubleword": Habits(openai={"completion_window": "1h", **_NO_EXPIRY}),
    "litellm": Habits(),
    "maritaca": Habits(
        openai=_NO_EXPIRY, endpoints=_ONLY_CHAT, keeps_metadata=False, has_counts=False
    ),
}


class Provider(Protocol):
    """A remote, and the strings to pull behind it."""

    remote: Remote
    habits: Habits

    async def ended(self, batch_id: str) -> Batch:
        """The batch once it is over."""
        ...

    async def running(self, batch_id: str) -> Batch:
        """The batch once some, but not all of its requests are answered."""
        ...

    def take_long(self) -> None:
        """Let batches take long enough to be cancelled in the middle."""
        ...

    async def kept(self, content: bytes, tmp_path: Path) -> str:
        """The id of a file with this content, whatever it is."""
        ...

    def let_files_expire(self) -> None:
        """So much time passes that every file that is there now has expired."""
        ...

    def leave_no_room(self) -> None:
        """The account's queue holds ten tokens."""
        ...

    def made(self) -> list[str]:
        """The ids of all batches that exist, oldest first."""
        ...

    def uploaded(self) -> list[tuple[str, int]]:
        """Name and length of every upload."""
        ...

    def creations(self) -> int:
        """How often a creation was asked for."""
        ...

    def lose_next_creation(self, *, acting: bool) -> None: ...
    def refuse_next_creation_for_a_while(self) -> None: ...
    def break_next_creation(self) -> None: ...
    def cut_next_download(self) -> None: ...
    def fail_request(self, custom_id: str, status: int) -> None: ...
    def expire_half(self) -> None: ...
    def vanish(self, batch_id: str) -> None: ...
    def hide_new_batches(self) -> None: ...
    def forget_the_key(self) -> None: ...


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


class FakeProvider:
    """The fake; its time is moved by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.fake = FakeRemote(self.clock)
        self.habits = Habits()
        self.remote: Remote = self.fake

    async def ended(self, batch_id: str) -> Batch:
        self.clock.time += self.fake.batch_seconds
        return await self.remote.retrieve_batch(batch_id)

    async def running(self, batch_id: str) -> Batch:
        self.clock.time += self.fake.batch_seconds / 2
        return await self.remote.retrieve_batch(batch_id)

    def take_long(self) -> None: ...

    async def kept(self, content: bytes, tmp_path: Path) -> str:
        self.fake.files["file-kept"] = Kept("kept.jsonl", content)
        return "file-kept"

    def let_files_expire(self) -> None:
        self.clock.time += MAX_KEEP_SECONDS

    def leave_no_room(self) -> None:
        self.fake.fail_batches_with(
            BatchError("token_limit_exceeded", "Enqueued. Limit: 10 enqueued tokens.")
        )

    def made(self) -> list[str]:
        return [batch.id for batch in self.fake.batches]

    def uploaded(self) -> list[tuple[str, int]]:
        return [(name, len(content)) for name, content in self.fake.uploads]

    def creations(self) -> int:
        return self.fake.calls["create_batch"]

    def lose_next_creation(self, *, acting: bool) -> None:
        lose = self.fake.lose_connection_after if acting else self.fake.lose_connection_before
        lose("create_batch")

    def refuse_next_creation_for_a_while(self) -> None:
        self.fake.fail(
            "create_batch",
            RemoteUnavailable(
                "slow down",
                may_have_happened=False,
                status=429,
                retry_after_seconds=RETRY_AFTER,
            ),
        )

    def break_next_creation(self) -> None:
        error = RemoteUnavailable("the server failed", may_have_happened=True, status=503)
        self.fake.fail("create_batch", error)

    def cut_next_download(self) -> None:
        self.fake.lose_connection_after("download")

    def fail_request(self, custom_id: str, status: int) -> None:
        self.fake.verdicts[custom_id] = [status]

    def expire_half(self) -> None:
        self.fake.expire(fraction=0.5)

    def vanish(self, batch_id: str) -> None:
        self.fake.vanish(batch_id)

    def hide_new_batches(self) -> None:
        self.fake.listing_lag_seconds = 1e9

    def forget_the_key(self) -> None:
        self.fake.deny()


class SandboxProvider:
    """The real client; its time is real, and short."""

    def __init__(self, sandbox: Sandbox, client: OpenAIBatches, habits: Habits) -> None:
        self.sandbox, self.habits = sandbox, habits
        self.remote: Remote = client
        self._faulty_requests: list[dict[str, object]] = []

    async def ended(self, batch_id: str) -> Batch:
        return await self._until(batch_id, lambda batch: batch.status.is_end)

    async def running(self, batch_id: str) -> Batch:
        made = self.sandbox.world.book.find(batch_id)
        assert made
        return await self._until(batch_id, lambda _: made.counts()["completed"] > 0)

    def take_long(self) -> None:
        self.sandbox.world.options = replace(self.sandbox.world.options, batch_seconds=2.0)

    async def _until(self, batch_id: str, holds: Callable[[Batch], bool]) -> Batch:
        async with asyncio.timeout(10):
            batch = await self.remote.retrieve_batch(batch_id)
            while not holds(batch):
                await asyncio.sleep(0.01)  # polling is what the API offers
                batch = await self.remote.retrieve_batch(batch_id)
        return batch

    async def kept(self, content: bytes, tmp_path: Path) -> str:
        self.sandbox.set_faults(lenient_uploads=True)
        (tmp_path / "kept").write_bytes(content)
        return await self.remote.upload(tmp_path / "kept", name="kept.jsonl")

    def let_files_expire(self) -> None:
        self.sandbox.world.shelf.speed = 1e12

    def leave_no_room(self) -> None:
        self.sandbox.set_faults(enqueued_token_limit=10)

    def made(self) -> list[str]:
        return [batch["id"] for batch in self.sandbox.ledger()["batches"]]

    def uploaded(self) -> list[tuple[str, int]]:
        files = self.sandbox.ledger()["files"]
        uploads = [file for file in files if file["purpose"] != "batch_output"]
        return [(file["filename"], file["bytes"]) for file in uploads]

    def creations(self) -> int:
        return int(self.sandbox.ledger()["calls"].get("POST /v1/batches", 0))

    def lose_next_creation(self, *, acting: bool) -> None:
        self._spoil("POST /v1/batches", disconnect="after" if acting else "before")

    def refuse_next_creation_for_a_while(self) -> None:
        self._spoil("POST /v1/batches", status=429, retry_after=RETRY_AFTER)

    def break_next_creation(self) -> None:
        self._spoil("POST /v1/batches", status=503, x_should_retry=True)

    def cut_next_download(self) -> None:
        self.sandbox.set_faults(cut_after_bytes=10, cut_times=1)

    def fail_request(self, custom_id: str, status: int) -> None:
        self._faulty_requests.append({"custom_ids": [custom_id], "status": status, "times": 1})
        self.sandbox.set_faults(request_faults=self._faulty_requests)

    def expire_half(self) -> None:
        self.sandbox.set_faults(expire_after_fraction=0.5, expire_times=1)

    def vanish(self, batch_id: str) -> None:
        self.sandbox.set_faults(vanish=[batch_id])

    def hide_new_batches(self) -> None:
        self.sandbox.set_faults(hide_from_list=True)

    def forget_the_key(self) -> None:
        # As if the key had been revoked: the client goes on with the one it has.
        self.sandbox.world.options = Options(api_key="another")

    def _spoil(self, route: str, **how: object) -> None:
        self.sandbox.set_faults(http=[{"route": route, "times": 1, **how}])


@asynccontextmanager
async def fake_provider() -> AsyncIterator[Provider]:
    provider = FakeProvider()
    yield provider
    await provider.remote.close()


@asynccontextmanager
async def sandbox_provider(dialect: str) -> AsyncIterator[Provider]:
    habits = HABITS[dialect]
    options = Options(api_key=KEY, batch_seconds=0.1, validate_seconds=0.02, dialect=dialect)
    async with running_sandbox(options) as sandbox:
        client = OpenAIBatches(habits.settings, base_url=sandbox.base_url, api_key=KEY)
        try:
            yield SandboxProvider(sandbox, client, habits)
        finally:
            await client.close()
