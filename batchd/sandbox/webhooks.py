"""Rings where somebody asked to be rung when a batch is over, signed as the API signs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from itertools import count
from typing import TYPE_CHECKING

from batchd.sandbox.batches import Batch
from batchd.sandbox.options import Options
from batchd.sandbox.wire import new_id

if TYPE_CHECKING:
    import httpx2

_PREFIX = "whsec_"
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0  # seconds; the API's own are longer, as its batches are
_PATIENCE = 60.0  #: seconds; the API has three days
_CALL_SECONDS = 5.0  #: for one call: "respond quickly"


class Bell:
    """Tells one address of every batch that is over. Again, until it hears a 2xx."""

    def __init__(self, options: Options) -> None:
        self._address = options.webhook
        self._secret = options.webhook_secret
        self._calls: set[asyncio.Task[None]] = set()
        self.heard = 0  #: calls that were answered with 2xx

    def ring(self, batch: Batch) -> None:
        """Begin to tell; nobody waits for it."""
        if self._address is None:
            return
        call = asyncio.create_task(self._call(batch, self._address), name=f"webhook: {batch.id}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def end(self) -> None:
        """Tell no more."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _call(self, batch: Batch, address: str) -> None:
        event = _event(batch)
        body, id_ = json.dumps(event).encode(), new_id("wh_")
        until = time.monotonic() + _PATIENCE
        import httpx2  # late: most sandboxes ring nobody

        # No proxy of the environment's: both ends are on this machine, or close by.
        async with httpx2.AsyncClient(timeout=_CALL_SECONDS, trust_env=False) as client:
            for tries in count():
                if await self._is_heard(client, address, body, id_):
                    self.heard += 1
                    return
                if time.monotonic() > until:
                    return
                await asyncio.sleep(min(_FIRST_WAIT * 2**tries, _LONGEST_WAIT))

    async def _is_heard(
        self, client: httpx2.AsyncClient, address: str, body: bytes, id_: str
    ) -> bool:
        """Try once. The time of each try is signed, and all have one id, to be known by."""
        headers = {"content-type": "application/json"}
        headers |= signature(body, id_=id_, at=int(time.time()), secret=self._secret)
        import httpx2

        try:
            answer = await client.post(address, content=body, headers=headers)
        except (httpx2.HTTPError, OSError):
            return False
        return answer.is_success


def _event(batch: Batch) -> dict[str, object]:
    """What the API tells: which batch, and that it is over; not what came of it."""
    return {
        "id": new_id("evt_"),
        "object": "event",
        "created_at": int(time.time()),
        "type": f"batch.{batch.status}",
        "data": {"id": batch.id},
    }


def signature(body: bytes, *, id_: str, at: int, secret: str) -> dict[str, str]:
    """Sign by Standard Webhooks. A secret that begins with whsec_ is base64."""
    key = (
        base64.b64decode(secret.removeprefix(_PREFIX))
        if secret.startswith(_PREFIX)
        else secret.encode()
    )
    digest = hmac.new(key, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
