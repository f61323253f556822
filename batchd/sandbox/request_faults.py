"""Requests inside batches that fail on demand, with the API's own words (reference C.3, C.4)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from batchd.sandbox.digests import share_of
from batchd.sandbox.faults import RequestRule

#: status -> code, type, message, param
_WORDS: dict[int, tuple[str, str, str, str | None]] = {
    400: (
        "context_length_exceeded",
        "invalid_request_error",
        "This model's maximum context length is 128000 tokens. Please reduce the messages.",
        "messages",
    ),
    401: ("invalid_api_key", "invalid_request_error", "Incorrect API key provided.", None),
    404: ("model_not_found", "invalid_request_error", "The model does not exist.", "model"),
    429: (
        "rate_limit_exceeded",
        "requests",
        "Rate limit reached for requests. Please try again in 20s.",
        None,
    ),
    500: (
        "server_error",
        "server_error",
        "An error occurred while processing your request.",
        None,
    ),
    503: ("server_error", "server_error", "The server is overloaded or not ready yet.", None),
}
_OTHER = ("error", "invalid_request_error", "The request failed.", None)


def error_body(status: int, code: str | None = None, message: str | None = None) -> dict[str, Any]:
    """The error envelope that belongs to a status."""
    usual_code, kind, words, param = _WORDS.get(status, _WORDS[500] if status >= 500 else _OTHER)
    return {
        "error": {
            "message": message or words,
            "type": kind,
            "param": param,
            "code": code or usual_code,
        }
    }


class RequestFaults:
    """The rules in force, and how often each has hit each custom_id."""

    def __init__(self, rules: list[RequestRule]) -> None:
        self._rules = [
            (str(number), rule, frozenset(rule.custom_ids)) for number, rule in enumerate(rules)
        ]
        self._hits: Counter[tuple[str, str]] = Counter()

    def strike(self, custom_id: str) -> tuple[int, dict[str, Any]] | None:
        """The status and body with which this execution fails, or nothing."""
        for salt, rule, names in self._rules:
            if custom_id in names or share_of("request", salt, custom_id) < rule.rate:
                return self._apply(salt, rule, custom_id)
        return None

    def _apply(
        self, salt: str, rule: RequestRule, custom_id: str
    ) -> tuple[int, dict[str, Any]] | None:
        if rule.times is not None:
            if self._hits[salt, custom_id] >= rule.times:
                return None
            self._hits[salt, custom_id] += 1
        return rule.status, error_body(rule.status, rule.code, rule.message)
