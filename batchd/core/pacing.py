"""When things are looked at next: polling, backing off, an outage."""

from __future__ import annotations

from batchd.core import limits

_AGE_SHARE = 0.1  # a batch of an hour is looked at every six minutes: 10 % late at the most
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 300.0  # seconds; doubles in between
_FIRST_REST, _LONGEST_REST = 5.0, 120.0  # seconds; an outage is noticed over within two minutes
_ROOM_TRIES = 6  # as if it had been refused so often before: waits a minute, then two, then four
ROOM_TRIES_ALONE = 4  # refusals for room with nothing of ours in the queue: it is the shard
_BATCH_SECONDS = 86_400.0  # a batch may read its file as long as it runs; reference B.1, the window


def poll_interval(age: float, *, shortest: float, longest: float, jitter: float) -> float:
    """Seconds until a batch of this `age` is looked at again. `jitter` is 0..1, one per sweep."""
    return min(max(age * _AGE_SHARE, shortest), longest) * (0.9 + 0.2 * jitter)


def backoff(tries: int, *, asked_for: float | None = None) -> float:
    """Seconds to wait after the `tries`-th failure in a row (from 1), or what was asked for."""
    delay = min(_FIRST_DELAY * 2.0 ** min(tries - 1, 16), _LONGEST_DELAY)
    return max(delay, asked_for or 0.0)


def room_backoff(refusals: int, *, asked_for: float | None = None) -> float:
    """Seconds until the provider is asked for room again: it comes when batches end, not at once."""
    return backoff(refusals + _ROOM_TRIES, asked_for=asked_for)


def has_expired(file_at: float | None, now: float, *, keep: float | None) -> bool:
    """Whether an uploaded file is too near its end to begin a batch with, or past it.

    `keep`: seconds from the upload that the provider was told; None told it nothing.
    """
    keep = limits.MAX_KEEP_SECONDS if keep is None else keep
    return file_at is not None and now >= file_at + keep - min(_BATCH_SECONDS, keep / 2)


def circuit_rest(outages: int) -> float:
    """Seconds a provider that is down is left alone, after the `outages`-th look (from 1)."""
    return min(_FIRST_REST * 2.0 ** min(outages - 1, 16), _LONGEST_REST)
