"""Errors carry what the stages decide by."""

from batchd.core.errors import BatchdError, RemoteDenied, RemoteRefused, RemoteUnavailable


def test_an_error_says_what_who_and_how_long():
    error = RemoteUnavailable(
        "busy", may_have_happened=False, retry_after_seconds=30.0, status=429, code="slow_down"
    )
    assert isinstance(error, BatchdError)
    assert (str(error), error.may_have_happened) == ("busy", False)
    assert (error.retry_after_seconds, error.status, error.code) == (30.0, 429, "slow_down")


def test_a_no_has_the_providers_status_and_code_where_it_gave_them():
    assert RemoteRefused("no").status is None
    assert RemoteDenied("no key", status=401, code="invalid_api_key").code == "invalid_api_key"
