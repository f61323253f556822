"""Every setting, as frozen values. `config/batchd.toml` explains each; a test keeps both equal.

Loading a file, the environment and `--set` is `batchd/configuration.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from batchd.core import limits
from batchd.core.budget import Limits
from batchd.core.tasks import CHAT


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[section]`. An unknown key is an error, never a silent default."""


class Folders(Section, frozen=True):
    """Where the three folders lie."""

    root: Path = Path()  #: holds inbox/, outbox/ and var/, so that every hand-over is one rename
    create: bool = True
    min_free_bytes: int = 1_073_741_824

    @property
    def keep_free_bytes(self) -> int:
        """With less than this free, nothing is written that can wait."""
        return self.min_free_bytes // 2


class Inbox(Section, frozen=True):
    """When a dropped file is taken."""

    settle_seconds: float = 2.0
    settle_max_seconds: float = 60.0
    scan_seconds: float = 5.0
    empty_grace_seconds: float = 30.0
    cut_grace_seconds: float = 60.0
    include: tuple[str, ...] = ("*.jsonl", "*.ndjson", "*.jsonl.gz", "*.ndjson.gz")
    ignore: tuple[str, ...] = ()
    done_file: str = "off"
    done_suffix: str = ".done"
    max_line_bytes: int = 64 * 1024 * 1024
    max_inflated_bytes: int = 20_000_000_000
    identical: str = "join"
    max_claimed: int = 1000

    @property
    def announced_by(self) -> str | None:
        """What a done file's name ends with; None where nobody waits for one."""
        return self.done_suffix if self.done_file == "require" else None


class OpenAI(Section, frozen=True):
    """The provider: where it is, who we are, how long we wait."""

    base_url: str | None = None
    api_key_file: Path | None = None
    timeout_seconds: float = 60.0
    stall_seconds: float = 60.0
    purpose: str = "batch"
    completion_window: str = limits.COMPLETION_WINDOW
    endpoint_prefixes: tuple[str, ...] = ("/v1",)
    metadata: bool = True
    keep_files_days: float = 7.0
    delete_files: bool = False

    @property
    def keep_files_seconds(self) -> int | None:
        """`keep_files_days` as the provider takes it; None says nothing about an expiry."""
        if self.keep_files_days <= 0:
            return None
        seconds = round(self.keep_files_days * 86_400)
        return min(max(seconds, limits.MIN_KEEP_SECONDS), limits.MAX_KEEP_SECONDS)


class Batches(Section, frozen=True):
    """How a file becomes batches, and how they are looked after."""

    max_requests: int = limits.MAX_REQUESTS
    max_bytes: int = limits.MAX_BYTES
    max_inputs: int = limits.MAX_INPUTS
    max_output_bytes: int = 200_000_000
    max_open: int = 100
    max_per_hour: int = limits.MAX_PER_HOUR
    count_tokens: str = "auto"
    enqueued_tokens: dict[str, int] = {}
    enqueued_embeddings: int = limits.ENQUEUED_EMBEDDINGS
    doubt_seconds: float = 60.0
    poll_min_seconds: float = 15.0
    poll_max_seconds: float = 300.0


class Retries(Section, frozen=True):
    """What is tried again."""

    max_attempts: int = 3
    on_truncated: str = "keep"


class Results(Section, frozen=True):
    """What lies in a finished folder."""

    responses: bool = True
    task_responses: bool = False


class Defaults(Section, frozen=True):
    """What a task has where its file says nothing."""

    endpoint: str = CHAT
    model: str | None = None
    system: str = ""
    parameters: dict[str, Any] = {}
    metadata: dict[str, str] = {}


class Jobs(Section, frozen=True):
    """What is kept of a job once it is delivered."""

    keep_days: float = 1.0
    history_days: float = 90.0
    deadline_hours: float | None = None


class Budget(Section, frozen=True):
    """What may be spent, in US dollars, before somebody is asked."""

    per_job: float | None = None
    per_day: float | None = None
    per_month: float | None = None
    output_tokens: int = 500

    @property
    def limits(self) -> Limits:
        """The three sums, where a decision needs them."""
        return Limits(self.per_job, self.per_day, self.per_month)


class Prices(Section, frozen=True):
    """Own prices by model: US dollars per million tokens, as they are billed in batches."""

    input: dict[str, float] = {}
    cached: dict[str, float] = {}
    output: dict[str, float] = {}


class Daemon(Section, frozen=True):
    """The process itself."""

    grace_seconds: float = 10.0


class Logging(Section, frozen=True):
    """What is written down while it runs."""

    level: str = "info"
    format: str = "auto"
    target: str = "auto"
    max_bytes: int = 10_000_000
    keep_files: int = 5


class Notify(Section, frozen=True):
    """Who is told, and how: a command with its arguments, or one address."""

    on_complete: tuple[str, ...] = ()
    on_reject: tuple[str, ...] = ()
    on_problem: tuple[str, ...] = ()
    timeout_seconds: float = 30.0
    retry_seconds: float = 600.0
    webhook_secret_file: Path | None = None
    heartbeat_url: str | None = None
    heartbeat_seconds: float = 60.0


class Webhooks(Section, frozen=True):
    """Where the provider may ring."""

    listen: str | None = None
    secret_file: Path | None = None


class Settings(Section, frozen=True):
    """All of it."""

    folders: Folders = Folders()
    inbox: Inbox = Inbox()
    openai: OpenAI = OpenAI()
    batches: Batches = Batches()
    retries: Retries = Retries()
    results: Results = Results()
    defaults: Defaults = Defaults()
    jobs: Jobs = Jobs()
    budget: Budget = Budget()
    prices: Prices = Prices()
    daemon: Daemon = Daemon()
    logging: Logging = Logging()
    notify: Notify = Notify()
    webhooks: Webhooks = Webhooks()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the settings come from. What it does not name is a default."""

    file: str | None = None  #: the configuration that was read
    key_from: str | None = None  #: where the provider's key was found; never the key
    origins: Mapping[str, str] = field(default_factory=dict)  #: "config/batchd.toml, line 12"
