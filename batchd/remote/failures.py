"""The SDK's exceptions become ours: who must act, and whether it may have happened.

Two questions, answered once. *Who must act* comes from the status and the code. *May it have
happened* is False only where the provider surely did nothing: it said so (429, 4xx), or nothing
was ever sent. Everything else is True, because the price of a wrong False is a second bill and
the price of a wrong True is one question (`list_batches`) a minute later.

The SDK's texts can carry the key (its 401 message does, and so does a complaint about an illegal
header). So ours are built from parts and cleaned, and the originals are not kept as causes.
"""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import anyio
import httpx2
import openai

from batchd.core.errors import RemoteDenied, RemoteError, RemoteRefused, RemoteUnavailable
from batchd.remote.translating import NO_ROOM, says_no_room

#: What a call into the SDK can raise. It wraps most of httpx2's exceptions, but neither those of a
#: streamed body nor these TLS failures, which anyio lets through (pydantic/httpx2#854).
THEIRS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    ssl.SSLError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    TimeoutError,  # ours, around the SDK: a limit for a call as a whole
)

#: Failures of a connection before any byte of the request was sent.
NOTHING_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    ssl.SSLCertVerificationError,
)

#: Statuses that only the operator can mend: the key, the money, the permission, the proxy.
DENYING_STATUSES = (401, 402, 403, 407)
#: The same said by a code, with a status that would mean something else (429, 400).
DENYING_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
#: Surely nothing was done, and time will help: too many requests, too early.
NOT_YET_STATUSES = (425, 429)
#: Time will help, but who knows: a server gave up waiting; somebody else holds the thing. The SDK
#: repeats both. A 409 to a creation could even mean that an earlier one came through.
UNCLEAR_STATUSES = (408, 409)

#: A shorter one is none: what people give a local server ("any") stands in ordinary words, too.
SHORTEST_SECRET = 8

LONGEST_MESSAGE = 300  # enough for every message of the reference; not for an echoed prompt
_KEYS = re.compile(
    r"\bBearer\s+\S+"
    r"|\b(?:sk|pk|rk|sess|key|gsk|xai|org-key)[-_][\w*.…-]{3,}[\w*]"
    r"|\S*\*{3,}[\w-]*",  # masked by the provider, but the ends still show
    re.IGNORECASE,
)


@contextmanager
def named_by_who_must_act(doing: str, *, secret: str) -> Iterator[None]:
    """Around every call of the SDK: its exceptions come out as `RemoteError`s.

    `doing` begins the message ("create batch"); `secret` never appears in it.
    """
    try:
        yield
    except THEIRS as error:
        raise translated(error, doing=doing, secret=secret) from None


def translated(error: Exception, *, doing: str, secret: str) -> RemoteError:
    """Our error for theirs."""
    if isinstance(error, openai.APIStatusError):
        return _answered(error, doing=doing, secret=secret)
    # The SDK's own wrapper says "Connection error."; what it wraps says which.
    cause = (error.__cause__ or error) if isinstance(error, openai.OpenAIError) else error
    sent = not isinstance(cause, NOTHING_SENT)
    in_time = isinstance(cause, (TimeoutError, httpx2.TimeoutException))
    what = ("no answer in time" if in_time else "the connection broke") if sent else "no connection"
    detail = clean(f"{type(cause).__name__}: {cause}".removesuffix(": "), secret=secret)
    return RemoteUnavailable(f"{doing}: {what} ({detail})", may_have_happened=sent)


def not_the_api(answer: httpx2.Response, *, doing: str, wanted: str) -> RemoteUnavailable:
    """A status of success around something else: a login page, a proxy's notice, half a JSON."""
    kind = answer.headers.get("content-type", "no content type")
    return RemoteUnavailable(
        f"{doing}: the provider answered {answer.status_code} with something that is no {wanted}"
        f" ({clean(kind)}, {len(answer.content)} bytes){_request_id(answer.headers)}",
        may_have_happened=True,
        status=answer.status_code,
    )


def clean(text: str, *, secret: str = "") -> str:
    """A stranger's text on one line, not too long, and without anything that looks like a key."""
    if len(secret) >= SHORTEST_SECRET:
        text = text.replace(secret, "[key]")
    text = " ".join(_KEYS.sub("[key]", text).split())
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """How many seconds the provider asks us to wait, however many; None when it doesn't say.

    A date is measured against the provider's own `Date`, so that a wrong clock here is no wait.
    """
    milliseconds, wish = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in ((milliseconds, 0.001), (wish, 1.0)):
        seconds = _plain_seconds(value)
        if seconds is not None:
            return seconds * unit
    until = _date_seconds(wish)
    if until is None:
        return None
    return max(0.0, until - (_date_seconds(headers.get("date")) or now))


def _answered(error: openai.APIStatusError, *, doing: str, secret: str) -> RemoteError:
    status, code = error.status_code, _code(error.body)
    message = f"{doing}: {_what_it_said(error, secret=secret)}"
    if status in DENYING_STATUSES or (status < 500 and _is_about_money(error.body)):
        return RemoteDenied(message, status=status, code=code)
    if 400 <= status < 500 and status not in NOT_YET_STATUSES + UNCLEAR_STATUSES:
        return RemoteRefused(message, status=status, code=code)
    return RemoteUnavailable(
        message,
        may_have_happened=status not in NOT_YET_STATUSES,
        retry_after_seconds=retry_after(error.response.headers, now=time.time()),
        status=status,
        code=code,
    )


def _what_it_said(error: openai.APIStatusError, *, secret: str) -> str:
    status, headers = error.status_code, error.response.headers
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else "an unknown status"
    said = error.body.get("message") if isinstance(error.body, Mapping) else None
    quoted = f', "{clean(said, secret=secret)}"' if isinstance(said, str) and said else ""
    return f"the provider answered {status} ({phrase}){quoted}{_request_id(headers)}"


def _request_id(headers: Mapping[str, str]) -> str:
    request_id = headers.get("x-request-id")
    return f", request {clean(request_id)}" if request_id else ""


def _code(body: object) -> str | None:
    """The provider's code; some servers repeat the status as a number there.

    A queue that is full is no fault of the file, and Azure says so in a 400 (reference I), as the
    code or only somewhere in the text: whoever waits for room knows it by the code.
    """
    if says_no_room(str(body)):
        return NO_ROOM
    code = body.get("code") if isinstance(body, Mapping) else None
    return None if code is None or code == "" else str(code)


def _is_about_money(body: object) -> bool:
    """OpenAI says `insufficient_quota` as code and as type; others as one of them."""
    if not isinstance(body, Mapping):
        return False
    return body.get("code") in DENYING_CODES or body.get("type") in DENYING_CODES


def _plain_seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _date_seconds(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value or "").timestamp()
    except (ValueError, OverflowError):
        return None
