"""Whose call it is, judged by the SDK; and which batch it names."""

from __future__ import annotations

import time

import pytest

from batchd.remote.webhooks import NotTheirs, batch_of, verify
from tests.webhooks.calls import SECRET, call, headers_for


def test_a_call_that_is_signed_is_theirs_with_any_of_several_signatures():
    body = call("batch_1")
    headers = headers_for(body)
    verify(body, headers, secret=SECRET)
    several = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    verify(body, several, secret=SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": None},
        {"webhook-id": "another"},
        {"webhook-id": None},
        {"webhook-timestamp": "soon"},
    ],
)
def test_a_call_that_is_not_is_not(change):
    body = call("batch_1")
    headers = {name: value for name, value in {**headers_for(body), **change}.items() if value}
    with pytest.raises(NotTheirs):
        verify(body, headers, secret=SECRET)


@pytest.mark.parametrize("off", [-400, 400])
def test_a_call_of_another_time_is_an_old_one_sent_again(off: int):
    body = call("batch_1")
    with pytest.raises(NotTheirs, match=r"too (old|new)"):
        verify(body, headers_for(body, at=time.time() + off), secret=SECRET)


def test_bytes_that_are_no_text_and_secrets_that_are_no_base64_are_refused_not_raised():
    with pytest.raises(NotTheirs):
        verify(b"\xff", headers_for(b"\xff"), secret=SECRET)
    with pytest.raises(NotTheirs):
        verify(b"x", headers_for(b"x"), secret="whsec_a")


@pytest.mark.parametrize(
    ("payload", "batch"),
    [
        (call("batch_1"), "batch_1"),
        (call("batch_1", type_="batch.of.the.future"), "batch_1"),
        (call("resp_1", type_="response.completed"), None),
        (b'{"type":"batch.completed"}', None),
        (b'{"type":"batch.completed","data":{"id":7}}', None),
        (b"[]", None),
        (b"nonsense", None),
    ],
)
def test_an_event_names_a_batch_or_is_about_something_else(payload: bytes, batch: str | None):
    assert batch_of(payload) == batch
