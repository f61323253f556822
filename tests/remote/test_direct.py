"""One request, answered at once: the line is as a batch's, whatever comes of it."""

from __future__ import annotations

import json

import pytest

from batchd.core.answers import Answer, read_answer
from batchd.core.errors import RemoteDenied, RemoteUnavailable
from batchd.remote.direct import Direct
from batchd.settings import OpenAI
from tests.houses import request
from tests.remote.raw_server import answer, hang_up, serving
from tests.remote.wire import HTML, KEY
from tests.sandbox.support import CHAT, talking


def line(custom_id: str, **more: str) -> bytes:
    return json.dumps(request(custom_id, **more)).encode()


async def asked(base_url: str, *lines: bytes, endpoint: str = CHAT) -> list[Answer]:
    direct = Direct(OpenAI(), base_url=base_url, api_key=KEY)
    try:
        return [read_answer(await direct.answer(one), endpoint) for one in lines]
    finally:
        await direct.close()


async def test_an_answer_is_read_as_a_batchs_would_be():
    async with talking() as talk:
        (first,) = await asked(talk.sandbox.base_url, line("17"))

    assert (first.custom_id, first.code, first.finish_reason) == ("17", None, "stop")
    assert first.usage is not None
    assert first.usage.output_tokens > 0
    assert isinstance(first.output, str)


async def test_an_embedding_comes_the_same_way():
    asked_for = {"custom_id": "1", "method": "POST", "url": "/v1/embeddings",
                 "body": {"model": "text-embedding-3-small", "input": "a", "dimensions": 8}}  # fmt: skip
    async with talking() as talk:
        (found,) = await asked(
            talk.sandbox.base_url, json.dumps(asked_for).encode(), endpoint="/v1/embeddings"
        )

    assert found.code is None
    assert len(json.loads(bytes(found.output))) == 8


async def test_what_is_refused_of_one_request_is_its_answer():
    async with talking(faults={"unknown_models": ["no-such"]}) as talk:
        refused, good = await asked(talk.sandbox.base_url, line("1", model="no-such"), line("2"))

    assert (refused.code, refused.status, good.code) == ("model_not_found", 404, None)
    assert "does not exist" in str(refused.message)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(answer("{}", status="401 No"), RemoteDenied, id="the key"),
        pytest.param(answer("{}", status="429 Slow down"), RemoteUnavailable, id="too much"),
        pytest.param(hang_up, RemoteUnavailable, id="the connection ends"),
        pytest.param(HTML, RemoteUnavailable, id="a page"),
    ],
)
async def test_what_concerns_every_request_is_raised_and_asked_once(reply, kind):
    async with serving(reply) as server:
        with pytest.raises(kind, match=r"^ask /v1/chat/completions: ") as caught:
            await asked(server.url, line("1"))

    assert KEY not in str(caught.value)
    assert len(server.heads) == 1
