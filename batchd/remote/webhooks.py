"""The provider's webhooks: whether a call is the provider's, and which batch it names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec
import openai

from batchd.core.errors import BatchdError

TOLERANCE_SECONDS = 300  #: of the sender's clock against ours, both ways (reference G.2)
_EVENTS = "batch."


class NotTheirs(BatchdError):
    """The call is not signed as the provider signs."""


class _Data(msgspec.Struct, frozen=True):
    id: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    data: _Data = _Data()


def verify(payload: bytes, headers: Mapping[str, str], *, secret: str) -> None:
    """Raise `NotTheirs` for a call that is not the provider's, or an old one sent again."""
    try:
        _client().webhooks.verify_signature(
            payload, dict(headers), secret=secret, tolerance=TOLERANCE_SECONDS
        )
    except (openai.InvalidWebhookSignatureError, ValueError, TypeError) as error:
        # TypeError: a signature that is no ASCII cannot even be compared.
        raise NotTheirs(str(error) or "it is not signed as it should be") from None


def batch_of(payload: bytes) -> str | None:
    """Return the batch that an event is about; None where it is about something else."""
    try:
        event = msgspec.json.decode(payload, type=_Event)
    except ValueError:
        return None
    return event.data.id if event.type.startswith(_EVENTS) and event.data.id else None


@cache
def _client() -> openai.OpenAI:
    """Only its arithmetic is used: it calls nobody, and its key opens nothing."""
    return openai.OpenAI(api_key="none", base_url="http://127.0.0.1:9")
