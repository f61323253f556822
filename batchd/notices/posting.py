"""Posts a notice to an address, signed as Standard Webhooks says, and again where that fails."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Mapping

import anyio
import httpx2

from batchd import __version__
from batchd.core.errors import ConfigError
from batchd.core.pacing import backoff
from batchd.notices.notice import Notice
from batchd.notices.outcome import Outcome
from batchd.runtime.clock import Clock

_PREFIX = "whsec_"
_GONE = 410  #: Standard Webhooks: nobody wants to hear of it any more
#: What a call can raise, and none of it is ours. TLS's own, and a limit for the whole, come bare.
TROUBLE = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError)


def client(seconds: float) -> httpx2.AsyncClient:
    """Return what calls: through the proxy that the environment names, and never elsewhere."""
    agent = {"user-agent": f"batchd/{__version__}"}
    return httpx2.AsyncClient(timeout=seconds, follow_redirects=False, headers=agent)


def signed(body: bytes, *, id_: str, at: float, secret: str | None) -> dict[str, str]:
    """Return the headers: whose it is, when it was sent and, with a secret, that it is ours."""
    headers = {"webhook-id": id_, "webhook-timestamp": str(int(at))}
    if secret is not None:
        text = f"{id_}.{int(at)}.".encode() + body
        digest = hmac.new(_key(secret), text, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigError("the secret begins with whsec_, and what follows is no base64") from None


async def post(
    address: str,
    notice: Notice,
    *,
    secret: str | None,
    seconds: float,
    retry_seconds: float,
    clock: Clock,
) -> Outcome:
    """Post it until it is taken, or for `retry_seconds`. One try takes at most `seconds`."""
    began, tries = clock.monotonic(), 0
    async with client(seconds) as calling:
        while True:
            tries += 1
            headers = signed(notice.body, id_=notice.id, at=clock.now(), secret=secret)
            outcome, is_over = await _try(calling, address, notice.body, headers, seconds)
            wait = backoff(tries)
            if is_over or clock.monotonic() + wait - began > retry_seconds:
                return outcome._replace(text=_counted(outcome.text, tries))
            await clock.wait(anyio.Event(), wait)


def _counted(text: str, tries: int) -> str:
    return text if tries == 1 else f"{text} (try {tries})"


async def _try(
    calling: httpx2.AsyncClient,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
) -> tuple[Outcome, bool]:
    """Return what came of one try, and whether it is the last."""
    typed = {**headers, "content-type": "application/json"}
    try:
        with anyio.fail_after(seconds):
            # What it answers besides a number is not read: it may be without end.
            async with calling.stream("POST", address, content=body, headers=typed) as answer:
                status = answer.status_code
    except TROUBLE as error:
        return Outcome(False, f"{type(error).__name__}: {error}".rstrip(": ")), False
    return Outcome(200 <= status < 300, f"HTTP {status}"), 200 <= status < 300 or status == _GONE
