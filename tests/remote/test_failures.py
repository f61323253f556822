"""Who must act, and whether it may have happened: the whole table, without a server."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from batchd.core.errors import RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.remote.failures import clean, retry_after, translated

KEY = "batchd-very-secret-1234567890"
REQUEST = httpx2.Request("POST", "http://provider/v1/batches")
SDK = openai.AsyncOpenAI(api_key=KEY)


def status_error(status: int, body: Any = None, **headers: str) -> openai.APIStatusError:
    """As the SDK makes it of an answer."""
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = httpx2.Response(status, headers=headers, text=content, request=REQUEST)
    return SDK._make_status_error_from_response(answer)


def ours(error: Exception) -> Any:
    return translated(error, doing="create batch", secret=KEY)


def envelope(message: str = "no", code: Any = None, kind: str = "x") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422, 451])
def test_a_definite_no_is_a_refusal_with_its_code(status):
    error = ours(status_error(status, envelope("Too big.", "file_too_big")))
    assert (type(error), error.status, error.code) == (RemoteRefused, status, "file_too_big")
    assert '"Too big."' in str(error)


@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_key_money_and_permission_are_the_operators(status):
    assert type(ours(status_error(status, envelope()))) is RemoteDenied


@pytest.mark.parametrize(
    "error",
    [
        {"message": "wait", "code": "token_limit_exceeded"},
        {"message": "Failed: token_limit_exceeded. Limit: 200,000 enqueued tokens.", "code": "400"},
        {"code": "BadRequest", "innererror": {"code": "token_limit_exceeded"}},
    ],
    ids=["code", "text", "inner"],
)
def test_a_full_queue_is_known_by_its_code_wherever_it_is_said(error):
    """Azure's fail-fast regions refuse the creation itself, with 400."""
    refusal = ours(status_error(400, {"error": error}))
    assert (type(refusal), refusal.code) == (RemoteRefused, "token_limit_exceeded")


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "insufficient_quota"), (400, "billing_hard_limit_reached"), (429, "billing_not_active")],
)
def test_an_empty_purse_is_the_operators_whatever_its_status(status, code):
    assert type(ours(status_error(status, envelope(code=code)))) is RemoteDenied
    assert type(ours(status_error(status, envelope(kind=code)))) is RemoteDenied


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 529, 599])
def test_after_a_server_error_nobody_knows(status):
    error = ours(status_error(status, "<html>Bad Gateway</html>"))
    assert (type(error), error.status) == (RemoteUnavailable, status)
    assert error.may_have_happened


def test_a_server_error_stays_one_though_it_speaks_of_money():
    """The purse may be empty, but a 5xx says nothing about what was done before."""
    error = ours(status_error(500, envelope(code="insufficient_quota")))
    assert type(error) is RemoteUnavailable


@pytest.mark.parametrize("status", [408, 409, 302])
def test_a_timeout_a_conflict_and_a_strange_redirect_are_doubt(status):
    error = ours(status_error(status))
    assert type(error) is RemoteUnavailable
    assert error.may_have_happened


@pytest.mark.parametrize("status", [425, 429])
def test_too_many_requests_did_nothing(status):
    error = ours(status_error(status, envelope(), retry_after="17"))
    assert type(error) is RemoteUnavailable
    assert (error.may_have_happened, error.retry_after_seconds) == (False, 17.0)


@pytest.mark.parametrize(
    "cause",
    [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow"), httpx2.PoolTimeout("full")],
)
def test_what_was_never_sent_did_not_happen(cause):
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    assert not ours(error).may_have_happened


@pytest.mark.parametrize(
    "cause",
    [
        httpx2.ReadTimeout("slow"),
        httpx2.WriteTimeout("slow"),
        httpx2.ReadError("reset"),
        httpx2.WriteError("reset"),
        httpx2.RemoteProtocolError("Server disconnected without sending a response."),
        httpx2.DecodingError("not gzip"),
        httpx2.TooManyRedirects("round and round"),
        TimeoutError(),
    ],
)
def test_what_was_sent_and_not_answered_may_have_happened(cause):
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    assert ours(error).may_have_happened
    assert ours(cause).may_have_happened


def test_a_message_says_what_was_tried_and_what_was_said():
    error = ours(status_error(503, envelope("Overloaded."), x_request_id="req_7"))
    assert str(error) == (
        "create batch: the provider answered 503 (Service Unavailable),"
        ' "Overloaded.", request req_7'
    )
    assert str(ours(status_error(599, ""))) == (
        "create batch: the provider answered 599 (an unknown status)"
    )
    assert str(ours(httpx2.ConnectError("All attempts failed"))) == (
        "create batch: no connection (ConnectError: All attempts failed)"
    )
    assert str(ours(TimeoutError())) == "create batch: no answer in time (TimeoutError)"


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect API key provided: {KEY}. You can find your API key at ...",
        "Incorrect API key provided: sk-proj-abc123_DEF-456. You can find your API key at ...",
        "Incorrect API key provided: sk-ab***************************wxyz. You can find ...",
        "Incorrect API key provided: batchd-v*****************7890. You can find ...",
        f"Illegal header value b'Bearer {KEY}\\n'",
    ],
)
def test_no_key_gets_into_a_message(said):
    error = ours(status_error(401, envelope(said)))
    assert "[key]" in str(error)
    for piece in (KEY, "abc123", "DEF", "wxyz", "7890", "batchd-v"):
        assert piece not in str(error)


def test_ordinary_words_are_not_keys():
    said = "The task-list of the sk model, see /v1/chat/completions: key is missing, 3 * 4"
    assert clean(said) == said


def test_a_strangers_text_is_one_short_line():
    assert clean("a\nb\tc") == "a b c"
    assert len(clean("word " * 1000)) < 310


NOW = 1_736_489_775.0  # Fri, 10 Jan 2025 06:16:15 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "7200"}, 7200.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "?", "retry-after": "2"}, 2.0),
        ({"retry-after": "Fri, 10 Jan 2025 06:21:15 GMT"}, 300.0),
        ({"retry-after": "Fri, 10 Jan 2025 06:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_providers_wish_is_understood_however_long(headers, seconds):
    assert retry_after(headers, now=NOW) == seconds


def test_a_date_is_measured_by_the_providers_own_clock():
    headers = {
        "retry-after": "Fri, 10 Jan 2025 06:21:15 GMT",
        "date": "Fri, 10 Jan 2025 06:16:15 GMT",
    }
    assert retry_after(headers, now=NOW - 1e9) == 300.0


def test_a_word_that_serves_as_a_key_does_not_garble_messages():
    """`OPENAI_API_KEY=any`, for a server that takes any."""
    assert clean("too many requests for this company", secret="any") == (
        "too many requests for this company"
    )
    assert clean("the key is any-old-key", secret="any-old-key") == "the key is [key]"
