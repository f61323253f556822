"""A request answered at once instead of in a batch: for trying a task out, a few rows at a time.

What comes back is a line as a batch's output file has it, so that nobody reads two kinds of answers.
"""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import msgspec
from openai import AsyncOpenAI

from batchd.core.errors import RemoteRefused
from batchd.core.limits import canonical
from batchd.remote.failures import named_by_who_must_act, not_the_api
from batchd.remote.openai_batches import LONGEST_CONNECT, checked_key, checked_url
from batchd.settings import OpenAI

_VERSION = "/v1"  #: in a request line; an address has it already
_LONGEST = 600.0  #: seconds for one answer: a model that reasons takes minutes; the SDK's own limit


class Direct:
    """The models, called one request at a time. Nothing is tried again."""

    def __init__(self, settings: OpenAI, *, base_url: str | None, api_key: str) -> None:
        """`base_url` None is `OPENAI_BASE_URL`, or OpenAI's own address. Nothing is sent yet."""
        self._key = checked_key(api_key)
        self._client = AsyncOpenAI(
            base_url=checked_url(base_url),
            api_key=self._key,
            max_retries=0,
            timeout=httpx2.Timeout(_LONGEST, connect=LONGEST_CONNECT),
        )

    async def answer(self, line: bytes) -> bytes:
        """Send one request line's body; return the line that a batch would have answered with.

        A refusal of this request (400, an unknown model) is an answer. Raises `RemoteDenied` and
        `RemoteUnavailable`.
        """
        asked = msgspec.json.decode(line, type=_Asked)
        path = canonical(asked.url).removeprefix(_VERSION)
        doing = f"ask {asked.url}"
        try:
            with named_by_who_must_act(doing, secret=self._key), anyio.fail_after(_LONGEST):
                answer = await self._client.post(path, body=asked.body, cast_to=httpx2.Response)
        except RemoteRefused as refused:
            said = {"code": refused.code or "refused", "message": str(refused)}
            return _line(asked.custom_id, refused.status or 400, {"error": said})
        try:
            body = msgspec.json.decode(answer.content)
        except ValueError:
            raise not_the_api(answer, doing=doing, wanted="answer") from None
        return _line(asked.custom_id, answer.status_code, body)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()


class _Asked(msgspec.Struct):
    custom_id: str
    url: str
    body: dict[str, Any]


def _line(custom_id: str, status: int, body: Any) -> bytes:
    response = {"status_code": status, "request_id": "", "body": body}
    return msgspec.json.encode({"custom_id": custom_id, "response": response, "error": None})
