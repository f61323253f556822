"""Bytes over the socket, as somebody without our client would send them."""

from __future__ import annotations

import socket

from batchd.control.addresses import near
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread


async def raw(services: Services, sent: bytes) -> tuple[bytes, bytes]:
    """Send bytes; return head and body of what comes back until they hang up."""
    return await in_thread(_raw, services, sent)


def _raw(services: Services, sent: bytes) -> tuple[bytes, bytes]:
    with socket.socket(socket.AF_UNIX) as speaking, near(services.folders.socket) as address:
        speaking.settimeout(10)
        speaking.connect(address)
        speaking.sendall(sent)
        received = b"".join(iter(lambda: speaking.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body
