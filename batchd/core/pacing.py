"""When things are looked at next: polling, backing off, doubt, and room in the account's queue."""

from __future__ import annotations

from collections.abc import Mapping

_AGE_SHARE = 0.1  # a batch of an hour is looked at every six minutes: 10 % late at the most
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0  # seconds; doubles in between
_FIRST_REST, _LONGEST_REST = 5.0, 120.0  # seconds; an outage is noticed over within two minutes


def poll_interval(age: float, *, shortest: float, longest: float, jitter: float) -> float:
    """Seconds until a batch of this `age` is looked at again. `jitter` is 0..1, one per sweep."""
    return min(max(age * _AGE_SHARE, shortest), longest) * (0.9 + 0.2 * jitter)


def backoff(tries: int, *, asked_for: float | None = None) -> float:
    """Seconds to wait after the `tries`-th failure in a row (from 1), or what was asked for."""
    delay = min(_FIRST_DELAY * 2.0 ** min(tries - 1, 16), _LONGEST_DELAY)
    return max(delay, asked_for or 0.0)


def has_room(
    tokens: int, model: str, *, enqueued: Mapping[str, int], limits: Mapping[str, int]
) -> bool:
    """Whether a shard fits the account's queue limit for its model.

    A shard larger than the limit alone is let through when nothing else waits there: the limit
    may be wrong, and the provider's own refusal says the right one.
    """
    limit = limits.get(model)
    waiting = enqueued.get(model, 0)
    return limit is None or not waiting or waiting + tokens <= limit


def circuit_rest(outages: int) -> float:
    """Seconds a provider that is down is left alone, after the `outages`-th look (from 1)."""
    return min(_FIRST_REST * 2.0 ** min(outages - 1, 16), _LONGEST_REST)
