"""Posts: signed so that the standard's own check accepts them, and tried again for a while."""

from __future__ import annotations

import time

import anyio
import pytest

from batchd.core.errors import ConfigError
from batchd.notices.notice import of_problem
from batchd.notices.outcome import Outcome
from batchd.notices.posting import post, signed
from batchd.remote.webhooks import NotTheirs, verify
from tests.fakes.clock import FakeClock
from tests.notices.receiver import receiving

SECRET = "whsec_c2VjcmV0IG9mIG91cnM="
NOTICE = of_problem("stuck", "it is", jobs=["0tr1c0"], at=1.0, root="r")


async def posted(
    address: str,
    *,
    clock: FakeClock | None = None,
    secret: str | None = None,
    seconds: float = 10.0,
    retry_seconds: float = 0.0,
) -> Outcome:
    """Post, while time passes as fast as it can."""
    clock = clock or FakeClock()
    async with anyio.create_task_group() as tasks:

        async def hurry() -> None:
            while True:
                await anyio.sleep(0.001)
                clock.advance(0.5)

        tasks.start_soon(hurry)
        outcome = await post(
            address,
            NOTICE,
            secret=secret,
            seconds=seconds,
            retry_seconds=retry_seconds,
            clock=clock,
        )
        tasks.cancel_scope.cancel()
    return outcome


@pytest.mark.parametrize("secret", [SECRET, "a plain word"])
async def test_a_post_is_signed_as_the_standard_says(secret: str):
    """The provider's SDK checks the same standard: two programs that agree."""
    async with receiving() as receiver:
        clock = FakeClock(start=time.time())
        assert await posted(receiver.address, clock=clock, secret=secret) == (True, "HTTP 200", "")

    ((first, headers, body),) = receiver.calls
    assert first == "POST /hook HTTP/1.1"
    assert body == NOTICE.body
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == NOTICE.id
    verify(body, headers, secret=secret)
    with pytest.raises(NotTheirs):
        verify(body + b" ", headers, secret=secret)


def test_without_a_secret_it_is_not_signed_and_a_bad_one_is_said():
    assert "webhook-signature" not in signed(b"x", id_="i", at=1.0, secret=None)
    with pytest.raises(ConfigError, match="base64"):
        signed(b"x", id_="i", at=1.0, secret="whsec_?")


async def test_a_post_that_fails_is_tried_again_with_the_same_id():
    async with receiving(500, 404, 429, 302, 204) as receiver:
        outcome = await posted(receiver.address, retry_seconds=600.0)

    assert outcome == (True, "HTTP 204 (try 5)", "")
    assert {headers["webhook-id"] for _, headers, _ in receiver.calls} == {NOTICE.id}
    times = [int(headers["webhook-timestamp"]) for _, headers, _ in receiver.calls]
    assert times == sorted(times)
    assert times[-1] - times[0] >= 1 + 2 + 4 + 8 - 1  # less and less often


async def test_a_post_is_given_up_after_its_time_or_where_nobody_wants_it():
    async with receiving(500) as receiver:
        outcome = await posted(receiver.address, retry_seconds=20.0)
        assert not outcome.is_given
        assert 3 <= len(receiver.calls) <= 5
    async with receiving(410) as receiver:
        assert (await posted(receiver.address, retry_seconds=600.0)).text == "HTTP 410"
        assert len(receiver.calls) == 1


async def test_nobody_there_and_nobody_who_answers_are_failures_not_errors():
    async with receiving(None) as receiver:
        assert "Timeout" in (await posted(receiver.address, seconds=0.2)).text
    assert "ConnectError" in (await posted(receiver.address)).text
    assert not (await posted("http://[bad/")).is_given
