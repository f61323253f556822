"""What is never shown: keys, and passwords in addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "[hidden]"
LEAST_SECRET = 8  # characters; to hide every "x" would hide the log
_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|sess)-[\w*.-]{8,}"  # OpenAI's, and those who imitate them
    r"|(?<=bearer )[^\s\"',}]+"
    r"|(?<=api-key: )[^\s\"',}]+",
    re.IGNORECASE,
)


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """Return the text without the secrets and without anything that looks like a key."""
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, HIDDEN)
    return _KEYS.sub(HIDDEN, text)


def without_password(address: str) -> str:
    """Return an address without the user, the password and the query that it may have."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
