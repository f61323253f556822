"""Calls as the provider makes them, signed by the recipe of reference G.2 and not by our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

KEY = b"thirty-two bytes of a secret key"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def call(batch: str, *, type_: str = "batch.completed") -> bytes:
    """The payload."""
    event = {"id": "evt_1", "object": "event", "created_at": 1_719_168_000, "type": type_}
    return json.dumps({**event, "data": {"id": batch}}).encode()


def headers_for(
    body: bytes, *, id_: str = "wh_1", at: float | None = None, key: bytes = KEY
) -> dict[str, str]:
    """The headers."""
    moment = str(int(time.time() if at is None else at))
    digest = hmac.new(key, f"{id_}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": id_, "webhook-timestamp": moment, "webhook-signature": signature}
