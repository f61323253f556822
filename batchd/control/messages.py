"""What is said over the control socket: questions, answers and refusals, as typed values.

`docs/openapi.json` is drawn from them. They only ever grow.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = 1
MOST_TEXT = 200  #: characters of a person's own words: they stand in lines of status and log
USUAL_ROWS, MOST_ROWS = 3, 100  #: of a trial; more is what a batch is for, at half the price
MOST_SENT = 16_000_000  #: bytes of a file that is handed in: a sample, not what a job is for


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever is said."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command's `--json` says. A member with a default may be absent."""


# What is asked


class Wish(Message, frozen=True, forbid_unknown_fields=True):
    """The body of cancel, hold and release."""

    because: str = ""  #: a person's own words, shown wherever the job is


class Rest(Message, frozen=True, forbid_unknown_fields=True):
    """The body of pause and resume."""

    what: Literal["intake", "submission", "all"] = "all"


# What is answered


class Said(Message, frozen=True):
    """What came of a wish, and what happens next."""

    changed: bool  #: False where it was so already
    sentence: str
    job: str | None = None
    schema: int = SCHEMA


class Refusal(Message, frozen=True):
    """Why nothing was done."""

    code: Literal[
        "invalid",
        "too-large",
        "refused",  # by us
        "denied",  # by the provider
        "not-found",
        "ambiguous",
        "impossible",
        "unusable",  # what was handed in, or a task
        "unavailable",
    ]
    sentence: str
    schema: int = SCHEMA


class Listed(Message, frozen=True):
    """A job in a line. Times are RFC 3339, in UTC."""

    job: str
    file: str
    task: str | None
    state: str
    outcome: str | None
    hold: str | None  #: the reason code why it is held
    cancelled: str | None
    owner: int  #: uid
    bytes: int
    requests: int | None
    claimed: str | None
    delivered: str | None
    folder: str | None
    cost: float | None  #: US dollars, of one delivered; null is unknown


class Jobs(Message, frozen=True):
    """Some jobs, the youngest first."""

    jobs: tuple[Listed, ...]
    more: bool  #: whether there are older ones that were asked for, too
    source: str  #: who says so: the daemon, or the ledger where none runs
    schema: int = SCHEMA


class Batch(Message, frozen=True):
    """A shard, and the batch that it is."""

    shard: str
    round: int
    state: str
    endpoint: str
    model: str
    requests: int
    tokens: int
    estimate: float | None
    batch: str | None
    status: str | None
    completed: int  #: the provider's running count
    answered: int | None  #: once collected
    failed: int | None
    again: int | None
    planned: str | None
    opened: str | None
    ended: str | None
    expires: str | None
    next_look: str | None
    reason: str | None
    text: str | None
    errors: tuple[dict[str, Any], ...]  #: the provider's, of the batch as a whole
    records: int = 0  #: rows; of a table a request may carry several


class Fact(Message, frozen=True):
    """One line of a job's history."""

    at: str | None
    shard: str | None
    event: str
    facts: dict[str, Any]


class Shown(Message, frozen=True):
    """Everything that is known of a job."""

    job: Listed
    standing: str
    code: str
    sentence: str
    round: int
    joined: str | None
    sha256: str | None
    rejected: str | None  #: what is wrong with its file
    held: str | None  #: who or what holds it, in words
    cancelled_by: str | None
    estimate: float | None  #: US dollars, before anything was sent
    spent: float | None  #: so far, of what has a price
    unpriced: int  #: answers of which the price is not known
    answered: int
    failed: int
    repairs: dict[str, Any]
    warnings: dict[str, Any]
    batches: tuple[Batch, ...]
    errors: dict[str, Any] | None  #: by code, from the receipt, once it is delivered
    soft: dict[str, Any] | None
    oddities: dict[str, int]
    timeline: tuple[Fact, ...]
    source: str
    schema: int = SCHEMA


class Held(Message, frozen=True, kw_only=False):
    """A job that only the budget holds, and what it is expected to cost."""

    job: str
    estimate: float | None
    claimed_at: float  #: seconds since the epoch


class Standing(Message, frozen=True):
    """What a file is held against before it is sent: what is queued and spent. US dollars."""

    now: float  #: seconds since the epoch, by the daemon's clock
    tokens: dict[str, int] = {}  #: the account's queues as the provider named them, by model
    today: float = 0.0
    month: float = 0.0
    under_way: float = 0.0
    unknown: int = 0  #: requests under way without a price
    waiting: tuple[Held, ...] = ()  #: for money, the oldest first
    schema: int = SCHEMA


class Logged(Message, frozen=True):
    """Some lines of the daemon's log, and the word that asks for those after them."""

    lines: tuple[msgspec.Raw, ...]  #: as they were written; docs/events.md has the events
    after: str  #: where these end, for the next question
    more: bool  #: whether there are more already
    is_there: bool  #: whether a log was ever written here; it may be the journal that has it
    schema: int = SCHEMA


class Reloaded(Message, frozen=True):
    """What came of reading the settings again."""

    applied: tuple[str, ...]  #: settings that hold from now on
    waiting: tuple[str, ...]  #: those that need a restart
    problem: str | None  #: what is wrong with them, a line each: then nothing was changed
    schema: int = SCHEMA
